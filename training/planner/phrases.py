"""Phrases for things and their parts: by name, or described by look, use and content."""

from __future__ import annotations

import random

from substep_planner.decomposers.grounding.scene import Entity
from training.planner.lexicon import Lexicon


class Phrases:
    """Makes phrases. ``described``: share of things that are described and not named."""

    def __init__(self, lexicon: Lexicon, generator: random.Random, described: float = 0.4) -> None:
        self._w, self._random, self._described = lexicon, generator, described

    def thing(self, entity: Entity, *, determiner: bool = True, adjective: str = "") -> str:
        """A noun phrase for a thing or a part of one, with what tells it from others of its kind, if that is said."""
        if entity.part:
            return self._part(entity)
        noun = self._noun(entity.kind)
        if adjective:
            noun = f"{noun} {adjective}" if self._w.templates.get("side_after") else f"{adjective} {noun}"
        elif self._random.random() < 0.06:
            noun = f"{self._random.choice(self._w.SIZES)} {noun}"
        return f"{self._determiner()} {noun}".strip() if determiner else noun

    def many(self, kind: str) -> str:
        """For example "mugs"."""
        words = self._w.things[kind]
        noun = self._random.choice([name for name in words.names if " of " not in name] or words.names[:1])
        if words.many:
            return self._random.choice(words.many)
        if self._w.language != "en":
            return noun
        return noun + ("es" if noun.endswith(("x", "s", "ch", "sh")) else "s")

    def _determiner(self) -> str:
        return self._random.choice(self._w.DETERMINERS)

    def _noun(self, kind: str) -> str:
        words, pick = self._w.things[kind], self._random.choice
        if not words.heads or self._random.random() > self._described:
            weighted = words.names[:2] * (3 if len(words.names) > 4 else 1) + words.names
            return pick(weighted)
        head, looks = pick(words.heads), list(words.looks)
        form = self._random.random()
        before = " ".join(self._random.sample(looks, min(len(looks), self._random.choice((0, 1, 1, 1, 2)))))
        if words.holds and form < 0.45:
            return f"{before} {head} {pick(self._w.HOLDING)} {pick(words.holds)}".strip()
        if words.holds and form < 0.55:
            return pick(words.holds)
        if words.uses and form < 0.8:
            uses = pick(words.uses)
            if self._random.random() < 0.15:
                uses += f" {pick(self._w.OR)} {pick(words.uses)}"
            return f"{before} {head} {pick(self._w.USED_FOR)} {uses}".strip()
        if form < 0.88 and looks:
            name, tail = pick(words.names), f" {pick(self._w.ONE)}" if self._random.random() < 0.3 else ""
            return f"{name} {pick(self._w.THAT_IS)} {pick(looks)}{tail}"
        return f"{before or pick(looks or [''])} {head}".strip()

    def _part(self, entity: Entity) -> str:
        side, noun = entity.part.split()
        pick = self._random.choice
        slots = {
            "side": pick(self._w.PART_SIDES[side]),
            "noun": pick(self._w.PART_NOUNS[noun]),
            "owner": self.thing(Entity(entity.kind)),
            "name": pick(self._w.things[entity.kind].names),
        }
        return pick(self._w.PARTS).format(**slots)

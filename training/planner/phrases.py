"""Phrases for things and their parts: by name, or described by look, use and content."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from substep_planner.decomposers.grounding.scene import Entity

COLOURS = ("blue", "green", "purple", "orange", "pink", "grey", "black", "white", "red", "yellow", "golden")
_SIZES = ("large", "small", "big", "little", "clean", "nice", "empty", "heavy", "nearest", "old", "new", "favorite")
_USED = ("used for", "for", "meant for", "designed for", "intended for", "typically used for", "that is used for",
         "made for", "suitable for", "you use for", "often used for", "commonly used for", "which is for",
         "normally used for", "primarily used for", "ideal for", "used on", "commonly used on",
         "served with", "eaten with", "enjoyed with", "used in", "for use in", "used to hold", "known for")  # fmt: skip
_HOLDS = ("with", "of", "containing", "holding", "filled with", "full of", "that contains", "that holds", "known for")
_DETERMINERS = ("the",) * 14 + ("that", "this", "a", "my", "our", "", "")


@dataclass(frozen=True)
class Words:
    """How one kind of thing is called, a row of things.yaml."""

    names: tuple[str, ...]
    heads: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


@cache
def vocabulary() -> Mapping[str, Words]:
    """Kind -> words for it."""
    rows = yaml.safe_load(Path(__file__).with_name("things.yaml").read_text(encoding="utf-8"))
    return {
        kind: Words(**{("uses" if key == "for" else key): tuple(map(str, value)) for key, value in row.items()})
        for kind, row in rows.items()
    }


class Phrases:
    """Makes phrases. ``described``: share of things that are described and not named."""

    def __init__(self, generator: random.Random, described: float = 0.4) -> None:
        self._random, self._described = generator, described

    def thing(self, entity: Entity, *, determiner: bool = True, adjective: str = "") -> str:
        """A noun phrase for a thing or a part of one, with what tells it from others of its kind, if that is said."""
        if entity.part:
            return self._part(entity, adjective)
        noun = self._noun(entity.kind)
        if adjective:
            noun = f"{adjective} {noun}"
        elif self._random.random() < 0.06:
            noun = f"{self._random.choice(_SIZES)} {noun}"
        return f"{self._determiner()} {noun}".strip() if determiner else noun

    def many(self, kind: str) -> str:
        """For example "mugs"."""
        noun = self._random.choice([name for name in vocabulary()[kind].names if " of " not in name])
        return noun + ("es" if noun.endswith(("x", "s", "ch", "sh")) else "s")

    def _determiner(self) -> str:
        return self._random.choice(_DETERMINERS)

    def _noun(self, kind: str) -> str:
        words, pick = vocabulary()[kind], self._random.choice
        if not words.heads or self._random.random() > self._described:
            weighted = words.names[:2] * (3 if len(words.names) > 4 else 1) + words.names
            return pick(weighted)
        head, looks = pick(words.heads), list(words.looks)
        form = self._random.random()
        before = " ".join(self._random.sample(looks, min(len(looks), self._random.choice((0, 1, 1, 1, 2)))))
        if words.holds and form < 0.45:
            return f"{before} {head} {pick(_HOLDS)} {pick(words.holds)}".strip()
        if words.holds and form < 0.55:
            return pick(words.holds)
        if words.uses and form < 0.8:
            uses = pick(words.uses)
            if self._random.random() < 0.15:
                uses += f" or {pick(words.uses)}"
            return f"{before} {head} {pick(_USED)} {uses}".strip()
        if form < 0.88 and looks:
            name = pick(words.names)
            return f"{name} {pick(('the one that is', 'which is', 'that looks', 'the'))} {pick(looks)}" + (
                " one" if self._random.random() < 0.3 else ""
            )
        return f"{before or pick(looks or [''])} {head}".strip()

    def _part(self, entity: Entity, adjective: str) -> str:
        side, noun = entity.part.split()
        pick = self._random.choice
        side = pick({
            "top": ("top", "top", "top", "upper", "uppermost", "highest", "topmost"),
            "middle": ("middle", "middle", "middle", "central", "center", "centre", "second", "mid"),
            "bottom": ("bottom", "bottom", "bottom", "lower", "lowest", "lowermost", "bottommost"),
            "left": ("left", "left", "left hand", "leftmost"), "right": ("right", "right", "right hand", "rightmost"),
            "front": ("front", "front", "frontmost", "foremost", "near"),
            "back": ("back", "back", "rear", "rearmost", "hind", "far"),
        }[side])  # fmt: skip
        nouns = {
            "drawer": ("drawer",) * 6 + ("compartment", "storage compartment", "layer", "sliding drawer", "section",
                                         "pull out drawer", "storage drawer"),
            "compartment": ("compartment",) * 5 + ("section", "slot", "part", "storage compartment", "space", "area",
                                                   "division", "partition"),
        }[noun]  # fmt: skip
        noun = pick(nouns)
        owner = self.thing(Entity(entity.kind))
        name = pick(vocabulary()[entity.kind].names)
        form = self._random.random()
        closed = f"{adjective} " if adjective else ""
        if form < 0.4:
            return f"the {closed}{side} {noun} {pick(('of', 'of', 'of', 'in', 'on', 'inside'))} {owner}"
        if form < 0.55:
            return f"the {closed}{side} {name} {noun}"
        if form < 0.68:
            return f"the {name}'s {closed}{side} {noun}"
        if form < 0.76:
            return f"the {noun} {pick(('at', 'on', 'in'))} the {side} of {owner}"
        return f"the {closed}{side} {noun}"

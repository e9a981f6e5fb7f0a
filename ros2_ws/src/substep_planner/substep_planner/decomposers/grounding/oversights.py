"""What of a sentence may have been overlooked, so that it is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from substep_planner.decomposers.grounding.naming import Naming
from substep_planner.decomposers.grounding.scene import PART_SIDES, TABLE, Entity
from substep_planner.decomposers.grounding.segment import MENTIONS, Segment
from substep_planner.decomposers.grounding.spelling import Speller

_TELLS_APART = 3  # times as often as of another part is a word said of a part that says which it is
# How requests begin, whether or not a model has met them.
_REQUESTS = frozenset("open close shut put place push pick turn switch move".split())


class Oversights:
    """Args:

    tables: of the model's file.
    naming: what things are called.
    speller: knows the model's words.
    """

    def __init__(self, tables: Mapping, naming: Naming, speller: Speller) -> None:
        self._naming, self._speller = naming, speller
        self._kinds, self._glossary = tables["kinds"], tables["glossary"]
        self._determiners, self._polite = frozenset(tables["determiners"]), frozenset(tables["polite"])

    def is_any(self, segments: Sequence[Segment], entities: Sequence[Entity | None]) -> bool:
        """Whether a part of what is asked for may have been passed over: a verb or a thing that the model has no word
        for, a thing named among the words of a verb, a part of something without what tells it from the others."""
        things = {one.kind: one for one in entities if one and not one.part and one.kind != TABLE}
        mentioned: set[Entity] = set()
        before = ""
        for segment in segments:
            if segment.label == "noise":
                if before and self._is_unknown_request(segment.words, after_verb=before.startswith("verb")):
                    return True
            elif segment.label in MENTIONS:
                if segment.entity and segment.entity not in mentioned and self._is_any_part(segment):
                    return True
                mentioned |= {segment.entity} - {None}
            elif named := self._naming.named_in(segment.words, things):
                owners = {one.entity.kind for one in segments if one.label in MENTIONS and one.entity}
                if any(one.kind not in owners for one in named):
                    return True
            before = segment.label if before or segment.label.startswith("verb") else ""
        return False

    def _is_unknown_request(self, words: tuple[str, ...], *, after_verb: bool) -> bool:
        """Whether words that were taken for talk may ask for something: "and seal it", "the kettle" behind a verb."""
        if after_verb and words[0] in self._determiners:
            return any(len(word) > 2 and not self._speller.knows(word) for word in words)
        if self._glossary.get(words[0], words[0]) not in ("and", "then"):
            return False
        verb = next((word for word in words[1:] if word not in self._polite), "")
        return verb in _REQUESTS or len(verb) > 2 and not self._speller.knows(verb)

    def _is_any_part(self, segment: Segment) -> bool:
        """Whether nothing is said of which part of its kind it is: "the compartment of the caddy"."""
        entity = segment.entity
        if not entity.part:
            return False
        side, _, noun = entity.part.partition(" ")
        others = [self._kinds.get(f"{entity.kind}/{one} {noun}") for one in PART_SIDES[noun] if one != side]
        table = self._kinds.get(f"{entity.kind}/{entity.part}")
        if table is None or None in others:
            return side not in segment.words
        return not any(
            table.get(word, 0) > _TELLS_APART * min(one.get(word, 0) for one in others) for word in segment.words
        )

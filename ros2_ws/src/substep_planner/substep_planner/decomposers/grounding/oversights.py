"""What of a sentence may have been overlooked, so that it is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from substep_core.language.phrases import SIDES
from substep_planner.decomposers.grounding.naming import Naming
from substep_planner.decomposers.grounding.open_words import OpenWords
from substep_planner.decomposers.grounding.scene import PART_SIDES, TABLE, Entity
from substep_planner.decomposers.grounding.segment import MENTIONS, Segment
from substep_planner.decomposers.grounding.sides import side_in
from substep_planner.decomposers.grounding.spelling import Speller
from substep_planner.decomposers.grounding.words import SMALL_WORDS

_TELLS_APART = 3  # times as often as of another part is a word said of a part that says which it is
# How requests begin, whether or not a model has met them.
_REQUESTS = frozenset("open close shut put place push pick turn switch move".split())


class Oversights:
    """Args:

    tables: of the model's file.
    naming: what things are called.
    speller: knows the model's words.
    open_words: which words are said of things that nothing was taught of.
    """

    def __init__(self, tables: Mapping, naming: Naming, speller: Speller, open_words: OpenWords) -> None:
        self._is_thing = open_words.is_thing
        self._naming, self._speller = naming, speller
        self._kinds, self._glossary = tables["kinds"], tables["glossary"]
        self._determiners, self._polite = frozenset(tables["determiners"]), frozenset(tables["polite"])

    def is_any(self, segments: Sequence[Segment], entities: Sequence[Entity | None]) -> bool:
        """Whether a part of what is asked for may have been passed over: a verb or a thing that the model has no word
        for, a thing named among the words of a verb, a part of something without what tells it from the others."""
        things = {one.kind: one for one in entities if one and not one.part and one.kind != TABLE}
        if self._is_one_thing_twice(segments):
            return True
        mentioned: set[Entity] = set()
        before = ""
        for segment in segments:
            if segment.label == "noise":
                if before and self._is_unknown_request(segment.words, after_verb=before.startswith("verb")):
                    return True
            elif segment.label in MENTIONS:
                if self._is_said_twice(segment):
                    return True
                if segment.entity and segment.entity not in mentioned and self._is_any_part(segment):
                    return True
                mentioned |= {segment.entity} - {None}
            elif named := self._naming.named_in(segment.words, things):
                owners = {one.entity.kind for one in segments if one.label in MENTIONS and one.entity}
                if any(one.kind not in owners for one in named):
                    return True
            elif segment.label.startswith("verb") and self._has_an_unknown_noun(segment.words):
                return True
            before = segment.label if before or segment.label.startswith("verb") else ""
        return False

    def _is_unknown_request(self, words: tuple[str, ...], *, after_verb: bool) -> bool:
        """Whether words that were taken for talk may ask for something: "and seal it", "the kettle" behind a verb."""
        if after_verb and words[0] in self._determiners:
            return any(self._is_thing(word) or len(word) > 2 and not self._speller.knows(word) for word in words[1:])
        if self._glossary.get(words[0], words[0]) not in ("and", "then"):
            return False
        verb = next((word for word in words[1:] if word not in self._polite), "")
        return verb in _REQUESTS or len(verb) > 2 and not self._speller.knows(verb)

    def _has_an_unknown_noun(self, words: tuple[str, ...]) -> bool:
        """ "and place the espresso maker", all of it taken for a verb."""
        after = [word for before, word in zip(words, words[1:], strict=False) if before in self._determiners]
        return any(len(word) > 2 and not self._speller.knows(word) for word in after)

    def _is_one_thing_twice(self, segments: Sequence[Segment]) -> bool:
        """Whether two phrases for things that are moved, of which nothing was taught, were taken for the same."""
        heard: dict[Entity, set[str]] = {}
        for segment in segments:
            entity, words = segment.entity, set(segment.words) - self._determiners
            if segment.label != "thing" or entity is None or f"{entity.kind}/" in self._kinds:
                continue
            before = heard.setdefault(entity, words)
            if not (words <= before or before <= words) and not side_in(segment):
                return True
        return False

    def _is_said_twice(self, segment: Segment) -> bool:
        """Whether a word of one phrase is in it twice, so that there are two: "left plate yellow one right plate"."""
        words = [word for word in segment.words if len(word) > 1 and word not in SMALL_WORDS | self._determiners]
        return segment.entity is not None and not segment.entity.part and len(set(words)) < len(words)

    def _is_any_part(self, segment: Segment) -> bool:
        """Whether nothing is said of which part of its kind it is: "the compartment of the caddy"."""
        entity = segment.entity
        if not entity.part:
            return False
        side, _, noun = entity.part.partition(" ")
        others = [self._kinds.get(f"{entity.kind}/{one} {noun}") for one in PART_SIDES[noun] if one != side]
        table = self._kinds.get(f"{entity.kind}/{entity.part}")
        if table is None or None in others:
            return side not in {SIDES.get(word) for word in segment.words}
        return not any(
            table.get(word, 0) > _TELLS_APART * min(one.get(word, 0) for one in others) for word in segment.words
        )

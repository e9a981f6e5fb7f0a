"""What things are called: which words mean which thing here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from substep_core.language.nouns import OUT_OF_REACH
from substep_planner.decomposers.grounding.near_meaning import is_of_another_colour
from substep_planner.decomposers.grounding.scene import TABLE, Entity
from substep_planner.decomposers.grounding.segment import NAMED, Segment
from substep_planner.decomposers.grounding.sides import side_words
from substep_planner.decomposers.grounding.spelling import singular
from substep_planner.decomposers.grounding.words import SMALL_WORDS

_STANDING_FOR = frozenset("one ones side thing".split())


class Naming:
    """Args:

    tables: of the model's file; among them "kinds": "kind/part" -> how often each word was drawn for it.
    """

    def __init__(self, tables: Mapping) -> None:
        self._kinds = tables["kinds"]
        self._names = {name: frozenset(called) for name, called in tables["names"].items()}
        self._heads = {name: frozenset(called) for name, called in tables["heads"].items()}
        self._called = {kind: frozenset(words) for kind, words in tables["called"].items()}
        self._determiners = frozenset(tables["determiners"])
        self._glossary = tables["glossary"]
        self._sides = side_words(self._glossary)

    def settle(self, segments: Sequence[Segment], entities: Sequence[Entity | None]) -> list[Segment]:
        """The segments, each mention with what its words are a name of, or with nothing if they name something else.

        Args:
            entities: what is there, and None.
        """
        there = frozenset(one.kind for one in entities if one)
        found = [self._found(segment, there) for segment in segments]
        named = [self._by_name(self._with_antecedent(segment, entities), there) for segment in found]
        return [self._called_something(self._another_one(segment, entities), entities) for segment in named]

    def within_reach(self, segment: Segment) -> Segment:
        """The segment, without what it was taken for if it names what no arm reaches: the ceiling is no top of a
        cabinet."""
        entity, last = segment.entity, segment.words[-1]
        is_far = self._glossary.get(last, last) in OUT_OF_REACH
        if segment.label not in NAMED or entity is None or not is_far or last in entity.label.split():
            return segment
        return replace(segment, entity=None, others=())

    def _by_name(self, segment: Segment, there: frozenset[str]) -> Segment:
        """Where the words are the very name of some kinds, they mean one of those: "the bread" is no butter."""
        entity = segment.entity
        if segment.label not in NAMED or entity is None or entity.part:
            return segment
        name = " ".join(word for word in segment.words if word not in self._determiners)
        if f"{entity.kind}/" not in self._kinds:  # a thing of one's own
            if is_of_another_colour(segment.words, entity):
                return replace(segment, entity=None, others=())
            if set(map(singular, name.split())) <= set(map(singular, entity.label.split())):
                return segment
        kinds = self._names.get(name) or self._names.get(name.removesuffix("s"))
        if not kinds:
            return segment
        here = [Entity(kind) for kind in sorted(kinds & there)]
        if entity.kind in kinds:
            return replace(segment, others=tuple(one for one in here if one != entity))
        if entity.kind in self._heads.get(name, ()):
            return segment
        return replace(segment, entity=here[0] if here else None, others=tuple(here[1:]))

    def _found(self, segment: Segment, there: frozenset[str]) -> Segment:
        """What was taken for something that is not there, but has the very name of one thing that is: "plato de la
        izquierda"."""
        if segment.label not in NAMED or segment.entity is not None:
            return segment
        articles = {one for one, word in self._glossary.items() if word in ("of", "the")}
        dropped = self._determiners | self._sides | articles
        name = " ".join(word for word in segment.words if word not in dropped and word not in ("of", "the"))
        here = sorted(self._names.get(name, frozenset()) & there)
        return replace(segment, entity=Entity(here[0])) if len(here) == 1 else segment

    def _called_something(self, segment: Segment, entities) -> Segment:
        """Without a thing that is called by what it is used for alone: "the coffee" is no milk."""
        entity = segment.entity
        if segment.label not in NAMED or entity is None or entity.part:
            return segment
        heard = set(segment.words) - SMALL_WORDS - self._determiners - self._sides - _STANDING_FOR
        called = self._called.get(entity.kind)
        if not heard:
            return segment
        is_called = called is None or heard & called or {word.removesuffix("s") for word in heard} & called
        if is_called and not self._names_another(segment, entities):
            return segment
        return replace(segment, entity=None, others=())

    def _another_one(self, segment: Segment, entities) -> Segment:
        """ "The white one" may be whatever here is white."""
        if segment.label not in NAMED or segment.entity is None or _STANDING_FOR.isdisjoint(segment.words):
            return segment
        looks = set(segment.words) - SMALL_WORDS - self._determiners - _STANDING_FOR
        if not looks:
            return segment
        fitting = [
            one for one in entities
            if one and not one.part and one != segment.entity and looks <= self._called.get(one.kind, frozenset())
        ]  # fmt: skip
        return replace(segment, others=tuple(dict.fromkeys((*segment.others, *fitting))))

    def _names_another(self, segment: Segment, entities) -> bool:
        """Whether a name of another thing here is in the phrase, with no word that is ever said of this one."""
        table = self._kinds.get(f"{segment.entity.kind}/")
        known = set(table) if table else set(segment.entity.label.split())
        strange = tuple(word if word not in known else "" for word in segment.words)
        others = {
            one.kind: one for one in entities if one and not one.part and one.kind not in (segment.entity.kind, TABLE)
        }
        return any(strange) and bool(self.named_in(strange, others))

    def _with_antecedent(self, segment: Segment, entities) -> Segment:
        """What is said around the request, with the one thing that it names: "it" may mean that."""
        if segment.label != "noise":
            return segment
        named = self.named_in(segment.words, {one.kind: one for one in entities if one and not one.part})
        return replace(segment, entity=named[0]) if len(named) == 1 else segment

    def named_in(self, words: tuple[str, ...], things: Mapping[str, Entity]) -> list[Entity]:
        """Those of the things, by kind, that a name is among the words of which means no other of them."""
        text = f" {' '.join(words)} "
        names = {**{name: {kind} for kind, one in things.items() for name in one.names}, **self._names}
        meant = [things.keys() & kinds for name, kinds in names.items() if f" {name} " in text]
        return [things[kind] for kind in sorted({kind for kinds in meant if len(kinds) == 1 for kind in kinds})]

"""What things are called: which words mean which thing here, and what of a sentence may have been passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from substep_planner.decomposers.grounding.scene import PART_SIDES, TABLE, Entity
from substep_planner.decomposers.grounding.segments import Segment
from substep_planner.decomposers.grounding.spelling import Speller

MENTIONS = ("thing", "anchor", "place", "other")
SMALL_WORDS = frozenset(
    "the to a it is be and in on you i that of yet now just only so here there really too very".split()
)
SIDES = frozenset(("left", "right", "front", "back", "middle", "leftmost", "rightmost", "rear"))
_STANDING_FOR = frozenset("one ones side thing".split())
_TELLS_APART = 3  # times as often as of another part is a word said of a part that says which it is
# How requests begin, whether or not a model has met them.
_REQUESTS = frozenset("open close shut put place push pick turn switch move".split())


class Naming:
    """Args:

    tables: of the model's file.
    kinds: "kind/part" -> how often each word was drawn for it.
    speller: knows the model's words.
    """

    def __init__(self, tables: Mapping, kinds: Mapping[str, Mapping[str, int]], speller: Speller) -> None:
        self._kinds, self._speller = kinds, speller
        self._names = {name: frozenset(called) for name, called in tables["names"].items()}
        self._heads = {name: frozenset(called) for name, called in tables["heads"].items()}
        self._called = {kind: frozenset(words) for kind, words in tables["called"].items()}
        self._determiners = frozenset(tables["determiners"])
        self._polite = frozenset(tables["polite"])
        self._glossary = tables["glossary"]
        self.sides = SIDES | {word for word, english in self._glossary.items() if english in SIDES}

    def settle(self, segments: Sequence[Segment], entities: Sequence[Entity | None]) -> list[Segment]:
        """The segments, each mention with what its words are a name of, or with nothing if they name something else.

        Args:
            entities: what is there, and None.
        """
        there = frozenset(one.kind for one in entities if one)
        found = [self._found(segment, there) for segment in segments]
        named = [self._by_name(self._with_antecedent(segment, entities), there) for segment in found]
        return [self._called_something(self._another_one(segment, entities), entities) for segment in named]

    def _by_name(self, segment: Segment, there: frozenset[str]) -> Segment:
        """Where the words are the very name of some kinds, they mean one of those: "the bread" is no butter."""
        entity = segment.entity
        if segment.label not in MENTIONS[:3] or entity is None or entity.part or f"{entity.kind}/" not in self._kinds:
            return segment
        name = " ".join(word for word in segment.words if word not in self._determiners)
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
        if segment.label not in MENTIONS[:3] or segment.entity is not None:
            return segment
        articles = {one for one, word in self._glossary.items() if word in ("of", "the")}
        dropped = self._determiners | self.sides | articles
        name = " ".join(word for word in segment.words if word not in dropped and word not in ("of", "the"))
        here = sorted(self._names.get(name, frozenset()) & there)
        return replace(segment, entity=Entity(here[0])) if len(here) == 1 else segment

    def _called_something(self, segment: Segment, entities) -> Segment:
        """Without a thing that is called by what it is used for alone: "the coffee" is no milk."""
        entity = segment.entity
        if segment.label not in MENTIONS[:3] or entity is None or entity.part:
            return segment
        heard = set(segment.words) - SMALL_WORDS - self._determiners - self.sides - _STANDING_FOR
        called = self._called.get(entity.kind)
        if not heard:
            return segment
        is_called = called is None or heard & called or {word.removesuffix("s") for word in heard} & called
        if is_called and not self._names_another(segment, entities):
            return segment
        return replace(segment, entity=None, others=())

    def _another_one(self, segment: Segment, entities) -> Segment:
        """ "The white one" may be whatever here is white."""
        if segment.label not in MENTIONS[:3] or segment.entity is None or _STANDING_FOR.isdisjoint(segment.words):
            return segment
        looks = set(segment.words) - SMALL_WORDS - self._determiners - _STANDING_FOR
        if not looks:
            return segment
        fitting = [
            one for one in entities
            if one and not one.part and one != segment.entity and looks <= self._called.get(one.kind, frozenset())
        ]  # fmt: skip
        return replace(segment, others=tuple(dict.fromkeys((*segment.others, *fitting))))

    def is_something_lost(self, segments: list[Segment], entities) -> bool:
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
            elif named := self._named_in(segment.words, things):
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

    def _names_another(self, segment: Segment, entities) -> bool:
        """Whether a name of another thing here is in the phrase, with no word that is ever said of this one."""
        table = self._kinds.get(f"{segment.entity.kind}/")
        known = set(table) if table else set(segment.entity.label.split())
        strange = tuple(word if word not in known else "" for word in segment.words)
        others = {
            one.kind: one for one in entities if one and not one.part and one.kind not in (segment.entity.kind, TABLE)
        }
        return any(strange) and bool(self._named_in(strange, others))

    def _with_antecedent(self, segment: Segment, entities) -> Segment:
        """What is said around the request, with the one thing that it names: "it" may mean that."""
        if segment.label != "noise":
            return segment
        named = self._named_in(segment.words, {one.kind: one for one in entities if one and not one.part})
        return replace(segment, entity=named[0]) if len(named) == 1 else segment

    def _named_in(self, words: tuple[str, ...], things: Mapping[str, Entity]) -> list[Entity]:
        """Those of the things, by kind, that a name is among the words of which means no other of them."""
        text = f" {' '.join(words)} "
        names = {**{name: {kind} for kind, one in things.items() for name in one.names}, **self._names}
        meant = [things.keys() & kinds for name, kinds in names.items() if f" {name} " in text]
        return [things[kind] for kind in sorted({kind for kinds in meant if len(kinds) == 1 for kind in kinds})]

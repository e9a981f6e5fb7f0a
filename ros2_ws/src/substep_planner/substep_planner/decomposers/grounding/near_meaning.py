"""What a phrase means that nothing here is known to be called: the one thing whose name its words are near to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from substep_planner.decomposers.grounding.open_words import OpenWords, names_of
from substep_planner.decomposers.grounding.request import OPERATIONS, can
from substep_planner.decomposers.grounding.scene import TABLE, Entity
from substep_planner.decomposers.grounding.segment import NAMED, Segment
from substep_planner.decomposers.grounding.sides import side_words
from substep_planner.decomposers.grounding.spelling import singular
from substep_planner.decomposers.grounding.words import SMALL_WORDS

_LEAST, _MOST = -1.5, 3.0  # log of how much one word can say against or for a thing
_ENOUGH, _NOT_AGAINST = 1.0, -1.0  # logs: from which a thing is meant, of a noun like "container" or another one
_AHEAD, _FAR_AHEAD, _SOME = 0.7, 1.2, 0.5  # logs: how far before the next thing; from which it may be that one
_SYNONYM = 1.5  # log, from which on a noun is another word for a thing
_DESCRIBING = frozenset("of for used with that which containing holding filled made".split())
_COLOURS = frozenset("black white red green blue yellow orange purple pink brown gray grey golden silver".split())


class NearMeaning:
    """Args:

    tables: of the model's file.
    open_words: which words are said of things that the model was taught no words for.
    """

    def __init__(self, tables: Mapping, open_words: OpenWords) -> None:
        self._kinds, self._open = tables["kinds"], open_words
        self._names = [(f" {name} ", frozenset(kinds)) for name, kinds in tables["names"].items()]
        self._heads = _general(tables["heads"])
        self._saying_nothing = SMALL_WORDS | frozenset(tables["determiners"]) | side_words(tables["glossary"])

    def tells(self, word: str, entities: Iterable[Entity | None]) -> bool:
        """Whether a word is near to the name of something here."""
        return self._is_general_noun(word) or any(self._worth(word, entity) > _SYNONYM for entity in entities if entity)

    def settle(self, segments: Sequence[Segment], entities: Sequence[Entity | None]) -> list[Segment]:
        """The segments; of each mention of what is not there, what it means, where that is one thing clearly."""
        kept, said = list(segments), _Said()
        for number, segment in enumerate(segments):
            said = said.after(segment)
            if segment.label not in NAMED:
                continue
            there = [one for one in entities if one and one.kind != TABLE and said.fits(segment.label, one)]
            taken = {one.entity for one in kept if _excludes(one, segment)}
            if segment.entity in there:
                kept[number] = replace(segment, others=(*segment.others, *self._as_near(segment, there)))
            elif segment.entity is None or segment.label == "place" and self._is_general(segment.words):
                meant = self._meant(segment.words, [one for one in there if one not in taken])
                if meant and not self._names_another(segment, entities):
                    kept[number] = replace(segment, entity=meant, others=())
        return kept

    def _as_near(self, segment: Segment, fitting: Sequence[Entity]) -> list[Entity]:
        """What the words may mean as well, where one of both is a thing of one's own: nothing was taught of it."""
        entity, telling = segment.entity, self._telling(segment.words)
        if entity.part or not telling or not set(names_of(entity)).isdisjoint(map(singular, telling)):
            return []
        head = _head(segment.words, telling)
        is_vague = len(telling) == 1 and self._is_general_noun(head)
        enough = max(_SOME, 0.0 if is_vague else self._worth_of(telling, entity) - _FAR_AHEAD)
        others = [one for one in fitting if not one.part and one not in (entity, *segment.others)]
        own = [one for one in others if not (self._is_taught(one) and self._is_taught(entity))]
        return [one for one in own if self._worth_of(telling, one) > enough and self._worth(head, one) > 0]

    def _is_taught(self, entity: Entity) -> bool:
        return f"{entity.kind}/" in self._kinds

    def _is_general(self, words: Sequence[str]) -> bool:
        telling = self._telling(words)
        return bool(telling) and self._is_general_noun(_head(words, telling))

    def _is_general_noun(self, word: str) -> bool:
        return word in self._heads or self._open.is_general(word)

    def _telling(self, words: Sequence[str]) -> list[str]:
        return [word for word in words if word not in self._saying_nothing and not self._open.is_common(word)]

    def _worth_of(self, telling: Sequence[str], entity: Entity) -> float:
        return sum(self._worth(word, entity) for word in telling)

    def _meant(self, words: Sequence[str], fitting: Sequence[Entity]) -> Entity | None:
        telling = self._telling(words)
        if not telling or not fitting:
            return None
        worths = sorted(((self._worth_of(telling, one), one) for one in fitting), key=_worth_alone)
        (second, _), (first, best) = ((-np.inf, None), *worths)[-2:]
        head = _head(words, telling)
        is_near = (
            first > _NOT_AGAINST
            if self._is_general_noun(head)
            else first > _ENOUGH and self._worth(head, best) > _SYNONYM
        )
        return best if is_near and first - second > _AHEAD and not is_of_another_colour(words, best) else None

    def _worth(self, word: str, entity: Entity) -> float:
        """How much a word says for a thing, by its name, or by what was taught of it."""
        worth = self._open.worth(word, entity)
        if word in (table := self._kinds.get(f"{entity.kind}/", {})):
            worth = max(worth, np.log(self._open.share(word, table)))
        return float(np.clip(worth, _LEAST, _MOST))

    def _names_another(self, segment: Segment, entities: Sequence[Entity | None]) -> bool:
        """Whether it has the name of a thing that is known, and is not here."""
        here = {entity.kind for entity in entities if entity}
        words = {word for entity in entities if entity for word in names_of(entity)}
        text = f" {' '.join(segment.words)} "
        return any(
            name in text and kinds.isdisjoint(here) and not words.issuperset(name.split())
            for name, kinds in self._names
            if not self._is_general_noun(name)
        )


def _excludes(other: Segment, segment: Segment) -> bool:
    """Whether what another phrase means is not what this one means: neither moved nor a place twice in other words."""
    return other.label in NAMED and (other.label != segment.label or other.words != segment.words)


def _general(heads: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Nouns that are said of several families of things: "container", "device"."""
    families: dict[str, set[str]] = defaultdict(set)
    for name, kinds in heads.items():
        families[name.split()[-1]].update(kind.split("_")[-1] for kind in kinds)
    return frozenset(noun for noun, found in families.items() if len(found) > 1)


def is_of_another_colour(words: Iterable[str], entity: Entity) -> bool:
    """Whether a colour is said of a thing whose name has another one."""
    own = _COLOURS.intersection(names_of(entity))
    return bool(own) and bool(_COLOURS.intersection(words) - own)


@dataclass(frozen=True)
class _Said:
    """What was said before a phrase: labels of the last verb and of the last preposition."""

    verb: str = ""
    preposition: str = ""

    def after(self, segment: Segment) -> _Said:
        if segment.label.startswith("verb"):
            return _Said(segment.label)
        return replace(self, preposition=segment.label) if segment.label.startswith("to:") else self

    def fits(self, label: str, entity: Entity) -> bool:
        """Whether a thing is good for what is said of it. Args: label: of the phrase."""
        if label == "place":
            return entity.holds_perhaps if self.preposition == "to:in" else True
        if label != "thing":
            return True
        operation = self.verb.partition(":")[2]
        if operation in OPERATIONS:
            return can(entity, operation)
        return not entity.affordances.fixed and not entity.part


def _head(words: Sequence[str], telling: Sequence[str]) -> str:
    """The noun that a phrase is about: the last telling word before "of", "for", "used" and the like."""
    before = list(_before_a_description(words))
    return next((word for word in reversed(before) if word in telling), telling[-1])


def _before_a_description(words: Sequence[str]) -> Iterator[str]:
    for number, word in enumerate(words):
        if number > 1 and word in _DESCRIBING:
            return
        yield word


def _worth_alone(row: tuple[float, Entity]) -> float:
    return row[0]

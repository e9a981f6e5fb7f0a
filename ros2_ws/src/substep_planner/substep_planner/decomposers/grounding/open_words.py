"""Which words are said of a thing that the model was taught no words for: those of its name, and those near to it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import cache, cached_property, lru_cache

from substep_core.language.phrases import SIDES
from substep_planner.decomposers.grounding.meanings import Meanings
from substep_planner.decomposers.grounding.scene import Entity
from substep_planner.decomposers.grounding.spelling import singular

_NAME, _COMMON, _NEAR = 0.3, 0.35, 0.35  # shares of words of the name, of those said of anything, and of others
_OF_ANYTHING = 0.25  # share of all kinds that a word is said of which says nothing of any
_OTHER_WORDS = 20_000  # that may be said of things
_MET = 0.8  # share of words said of other kinds; any other word may be said as well


class OpenWords:
    """Args:

    kinds: "kind/part" -> how often each word was drawn for it.
    meanings: of words for things; None: words of the name alone are known.
    """

    def __init__(self, kinds: Mapping[str, Mapping[str, int]], meanings: Meanings | None) -> None:
        self._meanings = meanings
        self._kinds = [table for name, table in kinds.items() if name.endswith("/")]
        self.lift = lru_cache(65536)(self._lift)
        self._mean = lru_cache(1024)(self._mean_lift)

    def chance(self, word: str, entity: Entity) -> float:
        """Probability of a word in a phrase for a thing."""
        names = names_of(entity)
        is_name = singular(word) in map(singular, names)
        named = _NAME / len(names) if is_name else 0.0
        if word in self._common:
            return named + _COMMON * self._common[word]
        return named + (0.0 if self._meanings is None else _NEAR * self._base(word) * self.lift(word, entity))

    def is_common(self, word: str) -> bool:
        """Whether it is said of so many kinds that it says nothing of any."""
        return word in self._common

    def share(self, word: str, table: Mapping[str, int]) -> float:
        """How much more often a word was drawn for a kind than for others; 1: it was not."""
        return table.get(word, 0) / sum(table.values()) / self._pool[word] if self._pool.get(word) else 1.0

    def _base(self, word: str) -> float:
        """Probability of a word that says something, of whatever thing it is."""
        return _MET * self._telling.get(word, 0.0) + (1 - _MET) / _OTHER_WORDS

    def worth(self, word: str, entity: Entity) -> float:
        """Log of how much more often a word is said of a thing than of any, by the thing's name."""
        return self._meanings.worth(word, _phrases_of(entity)) if self._meanings else 0.0

    def is_general(self, word: str) -> bool:
        """Whether many things are of that kind: "container"."""
        return self._meanings is not None and self._meanings.is_general(word)

    def is_thing(self, word: str) -> bool:
        """Whether it is a noun for things."""
        return self._meanings is not None and self._meanings.is_thing(word)

    def _lift(self, word: str, entity: Entity) -> float:
        """How much more often a word is said of a thing than of any."""
        return math.exp(self.worth(word, entity)) / self._mean(entity) if self._meanings else 1.0

    def _mean_lift(self, entity: Entity) -> float:
        met = sum(share * math.exp(self.worth(word, entity)) for word, share in self._telling.items())
        return _MET * met + 1 - _MET

    @cached_property
    def _pool(self) -> Mapping[str, float]:
        """Word -> its mean share of what is said of a kind."""
        pool: Counter = Counter()
        for table in self._kinds:
            total = sum(table.values()) * len(self._kinds)
            for word, count in table.items():
                pool[word] += count / total
        return pool

    @cached_property
    def _common(self) -> Mapping[str, float]:
        """Of the words that are said of so many kinds that they say nothing, how often each is said."""
        often = Counter(word for table in self._kinds for word in table)
        return _normalised({word: n for word, n in self._pool.items() if often[word] > _OF_ANYTHING * len(self._kinds)})

    @cached_property
    def _telling(self) -> Mapping[str, float]:
        return _normalised({word: share for word, share in self._pool.items() if word not in self._common})


@cache
def names_of(entity: Entity) -> tuple[str, ...]:
    """The words of a thing's name; of a part, every word for its side."""
    words = entity.label.split()
    side = words[0] if entity.part else ""
    return (*words, *(word for word, other in SIDES.items() if other == side != word and "-" not in word))


@cache
def _phrases_of(entity: Entity) -> tuple[str, ...]:
    """What a thing is called, and its part."""
    if entity.part:
        return (entity.part.split()[-1], *names_of(entity))
    return tuple(dict.fromkeys((*entity.names, entity.kind.replace("_", " "))))


def _normalised(shares: Mapping[str, float]) -> Mapping[str, float]:
    total = sum(shares.values()) or 1.0
    return {word: share / total for word, share in shares.items()}

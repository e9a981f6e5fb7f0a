"""Numbers in a sentence, in any language: which of them may say how many things are meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

_NUMBERS = {
    word: number
    for number, word in enumerate("one two three four five six seven eight nine ten eleven twelve".split(), start=1)
} | {"dozen": 12}
OF_PARTS = frozenset(
    "drawer drawers layer layers layered level levels shelf shelves tier tiers tiered compartment compartments section "
    "sections door doors tone toned".split()
)
_MOST_DIGITS = 2


def number_of(word: str) -> int | None:
    """What number of things a word may be: 3 for "3" and "three"; None: none, and nobody means 2018 things."""
    if word.isdecimal():
        return int(word) if len(word) <= _MOST_DIGITS else None
    return _NUMBERS.get(word)


@dataclass(frozen=True)
class NumberWords:
    """How a language says numbers of things.

    Attributes:
        two: the word that the language's model was taught, for any number.
        words: others -> numbers beyond two; those of English are known anyway.
        of_parts: words behind a number that says how a thing is made.
        counters: words of which one stands between a number and what is counted; none: no such word is needed.
    """

    two: str = "two"
    words: Mapping[str, int] = field(default_factory=dict)
    of_parts: frozenset[str] = OF_PARTS
    counters: frozenset[str] = frozenset()

    @classmethod
    def of(cls, table: Mapping[str, Any] | None) -> NumberWords:
        """As a model's file has it, None for English. Raises: KeyError, TypeError: it is none."""
        if table is None:
            return cls()
        return cls(table["two"], table["words"], frozenset(table["of_parts"]), frozenset(table["counters"]))

    def in_digits(self, words: Sequence[str]) -> list[str]:
        """The words, those for numbers as digits."""
        return [
            str(self.words[word]) if word in self.words and self._counts_before(after) else word
            for word, after in pairwise([*words, ""])
        ]

    def _counts_before(self, after: str) -> bool:
        return after not in self.of_parts and (not self.counters or after in self.counters)


ENGLISH = NumberWords()


def with_counts(said: Sequence[str], numbers: NumberWords = ENGLISH) -> tuple[list[str], list[str]]:
    """The words with numbers in digits, but for "1", which goes without saying, and the same with every other number as
    the one that the model knows. What says how a thing is made ("three drawer cabinet") is no number of things.

    Raises:
        ValueError: none of something are asked for.
    """
    kept, known, words = [], [], numbers.in_digits(said)
    for word, after in pairwise([*words, ""]):
        if word == "a" and after == "dozen":
            continue
        number = number_of(word)
        if number == 0 and after not in numbers.of_parts:
            raise ValueError(f"the number {word!r} is in it, expected at least 1")
        if number == 1 and word.isdecimal():
            continue
        is_number = number is not None and number > 1 and after not in numbers.of_parts
        kept.append(word)
        known.append(numbers.two if is_number else word)
    return kept, known

"""What a sentence was taken for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from substep_planner.decomposers.grounding.request import Step
from substep_planner.decomposers.grounding.scene import Entity

_NUMBERS = {
    word: number
    for number, word in enumerate("one two three four five six seven eight nine ten eleven twelve".split(), start=1)
} | {"dozen": 12}
OF_PARTS = frozenset(
    "drawer drawers layer layers layered level levels shelf shelves tier tiers tiered compartment compartments section "
    "sections door doors tone toned".split()
)
_MOST_DIGITS = 2
_WORD = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+")  # Chinese is read sign by sign
_GLUED = re.compile(r"['’`´]")
_ARROW = re.compile(r"[-=]+>|→")


def words_of_text(text: str) -> list[str]:
    """Lower-case words without marks, as dictation writes them: "the cabinet's" -> "the", "cabinets"; of Chinese each
    sign. An arrow is read as "to"."""
    return _WORD.findall(_GLUED.sub("", _ARROW.sub(" to ", text.lower())))


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
            for word, after in zip(words, [*words[1:], ""], strict=True)
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
    for word, after in zip(words, [*words[1:], ""], strict=True):
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


@dataclass(frozen=True)
class Phrase:
    """Words of the sentence, and what they were taken for; ``None``: something that is not there.

    Attributes:
        others: what else they may mean, as likely as not; of what is not there, what comes nearest, the nearest first.
    """

    words: str
    entity: Entity | None
    others: tuple[Entity, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What a model knows of its own reading; ``score`` makes a probability of it.

    Attributes:
        certainty: that every word is for what it was taken for, by the model's own probabilities.
        likelihood: log probability of the sentence, a word.
        unknown: share of its words that were never met.
        steps: how many are asked for.
    """

    certainty: float
    likelihood: float
    unknown: float
    steps: int


@dataclass(frozen=True)
class Reading:
    """Attributes:

    steps: what is asked for; none: nothing that can be done.
    probability: that all of it is right, see ``score``.
    """

    steps: tuple[Step, ...]
    probability: float
    phrases: tuple[Phrase, ...] = ()
    evidence: Evidence | None = None

    @property
    def entities(self) -> tuple[Entity | None, ...]:
        """All that its steps name."""
        return tuple(entity for step in self.steps for entity in step.entities)

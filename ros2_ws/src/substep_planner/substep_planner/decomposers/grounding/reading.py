"""What a sentence was taken for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from substep_planner.decomposers.grounding.request import Step
from substep_planner.decomposers.grounding.scene import Entity

_NUMBERS = {
    word: number
    for number, word in enumerate("one two three four five six seven eight nine ten eleven twelve".split(), start=1)
} | {"dozen": 12}
_OF_PARTS = frozenset("drawer layer layered level shelf tier tiered compartment section tone toned".split())
_MOST_OF_A_KIND = 2  # a left and a right one; more are not told apart
_GLUED = re.compile(r"['’`´]")


def words_of_text(text: str) -> list[str]:
    """Lower-case words without marks, as dictation writes them: "the cabinet's" -> "the", "cabinets"."""
    return re.findall(r"[^\W_]+", _GLUED.sub("", text.lower()))


def with_counts(words: list[str]) -> list[str]:
    """Numbers of things as words that the model knows: "2" is "two", and "1" goes without saying.

    Raises:
        ValueError: more of a kind, or none, are asked for. What says how a thing is made ("three drawer cabinet") is
            no number of things.
    """
    kept = []
    for word, after in zip(words, [*words[1:], ""], strict=True):
        number = int(word) if word.isdecimal() else _NUMBERS.get(word)
        if number is None:
            kept.append(word)
        elif after not in _OF_PARTS and not 1 <= number <= _MOST_OF_A_KIND:
            raise ValueError(f"the number {word!r} is in it, expected 1 to {_MOST_OF_A_KIND} things of a kind")
        elif number == 2:
            kept.append("two")
        elif not word.isdecimal():
            kept.append(word)
    return kept


@dataclass(frozen=True)
class Phrase:
    """Words of the sentence, and what they were taken for; ``None``: something that is not there.

    Attributes:
        others: what else they may mean, as likely as not.
    """

    words: str
    entity: Entity | None
    others: tuple[Entity, ...] = ()


@dataclass(frozen=True)
class Reading:
    """Attributes:

    steps: what is asked for; none: nothing that can be done.
    probability: that all of it is right.
    """

    steps: tuple[Step, ...]
    probability: float
    phrases: tuple[Phrase, ...] = ()

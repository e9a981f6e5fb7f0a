"""What a sentence was taken for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from substep_planner.decomposers.grounding.request import Step
from substep_planner.decomposers.grounding.scene import Entity

_GLUED = re.compile(r"['’`´]")


def words_of_text(text: str) -> list[str]:
    """Lower-case words without marks, as dictation writes them: "the cabinet's" -> "the", "cabinets"."""
    return re.findall(r"[^\W_]+", _GLUED.sub("", text.lower()))


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

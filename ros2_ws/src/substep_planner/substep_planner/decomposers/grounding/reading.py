"""What a sentence was taken for."""

from __future__ import annotations

from dataclasses import dataclass

from substep_planner.decomposers.grounding.request import Step
from substep_planner.decomposers.grounding.scene import Entity


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
    excluded: why what it leaves out or forbids keeps it from being done; empty: it does not.
    question: that makes up for that; empty: there is none.
    condition: under which alone it is to be done, in words; empty: there is none.
    """

    steps: tuple[Step, ...]
    probability: float
    phrases: tuple[Phrase, ...] = ()
    evidence: Evidence | None = None
    excluded: str = ""
    question: str = ""
    condition: str = ""

    @property
    def entities(self) -> tuple[Entity | None, ...]:
        """All that its steps name."""
        return tuple(entity for step in self.steps for entity in step.entities)

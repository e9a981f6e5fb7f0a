"""Keys: which issued substep a message is about, and which observation a chunk answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SubstepKey:
    """Identifies one issue of one substep."""

    plan_id: str
    index: int
    attempt: int

    @property
    def task_id(self) -> str:
        """Of the accepted goal: the plans that are made for it are alike up to the first dot."""
        return self.plan_id.partition(".")[0]


@dataclass(frozen=True)
class IssuedSubstep:
    """A substep as the planner issued it.

    Attributes:
        instruction: of the substep.
        task: the whole task's instruction.
        back_off: it, or what came after it, has failed: the arm backs off before it begins.
    """

    key: SubstepKey
    instruction: str
    task: str
    back_off: bool = False


@dataclass(frozen=True)
class RequestKey:
    """Identifies one chunk request: ``stamp`` is that of the observation (ns), ``episode`` counts resets."""

    stamp: int
    episode: int
    substep: SubstepKey

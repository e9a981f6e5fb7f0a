"""What every decomposer is given and gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from substep_planner.plan import Plan, Substep


@dataclass(frozen=True)
class PlanRequest:
    """A task to be planned.

    Attributes:
        instruction: the task in words, not empty.
        suite: the benchmark suite it belongs to, where it is known.
        done: substeps of it that were already completed; the plan holds what remains.
        trouble: what an earlier plan came to grief on; empty for the first.
        objects: categories of what is in the scene (LIBERO's names), where they are known.
        image: (H, W, 3) uint8 RGB view of the scene, for decomposers that look at it.
    """

    instruction: str
    suite: str = ""
    done: tuple[Substep, ...] = ()
    trouble: str = ""
    objects: frozenset[str] = frozenset()
    image: np.ndarray | None = None


@dataclass(frozen=True)
class SourcedPlan:
    """A plan and which decomposer made it, e.g. "library:libero_10"."""

    plan: Plan
    source: str


class Decomposer(Protocol):
    """Splits an instruction into substeps."""

    name: str  # as in the registry
    wants_picture: bool  # it looks at PlanRequest.image

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        """The plan for what remains of the task.

        Raises:
            PlanningError: there is none; the code and the message say why.
        """

"""Interface of decomposers: request in, plan with its source out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from substep_core.errors import SUGGESTING, ErrorCode, PlanningError
from substep_core.named_substep import NamedSubstep
from substep_core.plan import Plan, Substep


@dataclass(frozen=True)
class PlanRequest:
    """A task to be planned.

    Attributes:
        instruction: the task in words, not empty.
        suite: the benchmark suite it belongs to, where it is known.
        done: substeps of it that were already completed; the plan holds what remains.
        failure: why the previous plan failed; None for the first.
        objects: categories of what is in the scene (LIBERO's names), where they are known.
        counts: how many of each of them there are, where that is known.
        skills: what the robot can do, as in its contract; none: the motions of the substep language.
        policy_skills: what the policy was taught; none: it is not known.
        image: (H, W, 3) uint8 RGB view of the scene, for decomposers that look at it.
        must_be_whole: a plan that is open is none: it is put together with others.
        was_refused: a decomposer that was asked before has understood it, and says that it cannot be done.
        take_suggestion: where a decomposer asks whether it has understood, the answer is yes.
        ask_policy: what the policy itself says comes next, by what it sees now; raises PlanningError. None: there is no
            policy to ask.
    """

    instruction: str
    suite: str = ""
    done: tuple[Substep, ...] = ()
    failure: str | None = None
    objects: frozenset[str] = frozenset()
    counts: Mapping[str, int] = field(default_factory=dict)
    skills: tuple[str, ...] = ()
    policy_skills: tuple[str, ...] = ()
    image: np.ndarray | None = None
    must_be_whole: bool = False
    was_refused: bool = False
    take_suggestion: bool = False
    ask_policy: Callable[[], NamedSubstep] | None = None


@dataclass(frozen=True)
class SourcedPlan:
    """A plan and which decomposer made it, e.g. "library:libero_10".

    Attributes:
        plan: None: nothing is left to do, as far as can be seen; only where substeps of the task were done.
        is_open: it is as much as is known so far. When its last substep has ended, the decomposers are asked again.
        understood: what each phrase of the instruction was taken for, where the decomposer can say it.
    """

    plan: Plan | None
    source: str
    is_open: bool = False
    understood: str = ""


class UnsureError(PlanningError):
    """There is a plan, but whether it is meant is not sure.

    Attributes:
        suggested: the plan if the answer to ``clarification`` is yes.

    Raises:
        ValueError: the question does not begin with ``SUGGESTING``, by which it is told that yes answers it.
    """

    def __init__(self, message: str, clarification: str, suggested: SourcedPlan, *, is_refusal: bool = False) -> None:
        if not clarification.startswith(SUGGESTING):
            raise ValueError(f"clarification is {clarification!r}, expected a question that begins with {SUGGESTING!r}")
        super().__init__(ErrorCode.NO_PLAN, message, clarification, is_refusal=is_refusal)
        self.suggested = suggested


class Decomposer(Protocol):
    """Splits an instruction into substeps."""

    name: str  # as in the registry
    wants_picture: bool  # it looks at PlanRequest.image

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        """The plan for what remains of the task.

        Raises:
            PlanningError: there is none; the code and the message say why.
        """

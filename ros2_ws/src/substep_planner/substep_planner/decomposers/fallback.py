"""Several decomposers in order: the first that has a plan wins, and nobody is passed over silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from substep_planner.decomposers.base import Decomposer, PlanRequest, SourcedPlan
from substep_planner.decomposers.plan_checks import missing_things
from substep_planner.errors import ErrorCode, PlanningError


@dataclass(frozen=True)
class PassedOver:
    """A decomposer that had no plan, and why."""

    name: str
    code: ErrorCode
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


@dataclass(frozen=True)
class Decomposition:
    """A plan, and what there is to say about it.

    Attributes:
        passed_over: the decomposers that were asked before in vain.
        missing: names of things in the plan that the scene, as far as it is known, does not have.
    """

    sourced: SourcedPlan
    passed_over: tuple[PassedOver, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """All of it in words."""
        return tuple(map(str, self.passed_over)) + tuple(f"the scene has no {name}" for name in self.missing)


def decompose(request: PlanRequest, decomposers: Sequence[Decomposer]) -> Decomposition:
    """Ask the decomposers in order. The plan's source names those that were passed over.

    Raises:
        PlanningError: none has a plan; the gravest of their codes (a failed backend, then an invalid plan, then no
            plan) and all their messages.
    """
    if not request.instruction.strip():
        raise PlanningError(ErrorCode.EMPTY_INSTRUCTION, f"the instruction is empty: {request.instruction!r}")
    failures: list[PassedOver] = []
    for decomposer in decomposers:
        try:
            sourced = decomposer.decompose(request)
        except PlanningError as error:
            failures.append(PassedOver(decomposer.name, error.code, str(error)))
            continue
        missing = tuple(missing_things(sourced.plan, request.objects))
        return Decomposition(_named_after(sourced, failures), tuple(failures), missing)
    code = max((failure.code for failure in failures), default=ErrorCode.NO_PLAN)
    raise PlanningError(code, "; ".join(map(str, failures)) or "no decomposer is configured")


def _named_after(sourced: SourcedPlan, failures: list[PassedOver]) -> SourcedPlan:
    if not failures:
        return sourced
    names = ", ".join(failure.name for failure in failures)
    return SourcedPlan(sourced.plan, f"{sourced.source} (after {names})")

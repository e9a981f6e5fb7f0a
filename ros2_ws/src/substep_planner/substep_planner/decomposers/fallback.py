"""Several decomposers in order: the first that has a plan wins, and nobody is passed over silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from substep_planner.decomposers.base import Decomposer, PlanRequest, SourcedPlan
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
    """A plan, and the decomposers that were asked before it in vain."""

    sourced: SourcedPlan
    passed_over: tuple[PassedOver, ...] = ()


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
        return Decomposition(_named_after(sourced, failures), tuple(failures))
    code = max((failure.code for failure in failures), default=ErrorCode.NO_PLAN)
    raise PlanningError(code, "; ".join(map(str, failures)) or "no decomposer is configured")


def _named_after(sourced: SourcedPlan, failures: list[PassedOver]) -> SourcedPlan:
    if not failures:
        return sourced
    names = ", ".join(failure.name for failure in failures)
    return SourcedPlan(sourced.plan, f"{sourced.source} (after {names})")

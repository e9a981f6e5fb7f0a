"""Several decomposers in order: the first that has a plan wins; those passed over are reported with the reason."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from substep_core.errors import ErrorCode, PlanningError
from substep_core.printable import printable
from substep_planner.decomposers.base import Decomposer, PlanRequest, SourcedPlan
from substep_planner.decomposers.plan_checks import missing_things, too_few

LONGEST_INSTRUCTION = 2000  # characters

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PassedOver:
    """A decomposer that had no plan, and why."""

    name: str
    code: ErrorCode
    message: str

    def __str__(self) -> str:
        return printable(f"{self.name}: {self.message}")


@dataclass(frozen=True)
class Decomposition:
    """A plan, and what there is to say about it.

    Attributes:
        passed_over: the decomposers that were asked before in vain.
    """

    sourced: SourcedPlan
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """All of it in words."""
        return tuple(map(str, self.passed_over))


def decompose(request: PlanRequest, decomposers: Sequence[Decomposer]) -> Decomposition:
    """Ask the decomposers in order; a plan with things that the scene lacks is none. A source names those passed over.

    Raises:
        PlanningError: none has a plan; the gravest of their codes (a failed backend, then an invalid plan, then no
            plan) and all their messages.
    """
    if not request.instruction.strip():
        raise PlanningError(ErrorCode.EMPTY_INSTRUCTION, f"the instruction is empty: {request.instruction!r}")
    if (length := len(request.instruction)) > LONGEST_INSTRUCTION:
        raise PlanningError(
            ErrorCode.NO_PLAN, f"the instruction has {length} characters, expected at most {LONGEST_INSTRUCTION}"
        )
    failures: list[PassedOver] = []
    for decomposer in decomposers:
        try:
            sourced = decomposer.decompose(request)
        except PlanningError as error:
            failures.append(PassedOver(decomposer.name, error.code, str(error)))
            continue
        except Exception as error:  # the border to whatever a backend is built on: the next one is asked
            log.warning("decomposer %s failed", decomposer.name, exc_info=True)
            why = f"{type(error).__name__}: {error}"
            failures.append(PassedOver(decomposer.name, ErrorCode.BACKEND_FAILED, why))
            continue
        missing = [] if sourced.plan is None else missing_things(sourced.plan, request.objects)
        if missing:  # whatever it is that was planned, it cannot be carried out here
            why = f"plans with what is not there: the scene has no {', no '.join(missing)}"
            failures.append(PassedOver(decomposer.name, ErrorCode.INVALID_PLAN, why))
            continue
        if few := [] if sourced.plan is None else too_few(sourced.plan, request.counts):
            why = f"plans with more than is there: the scene has {'; '.join(few)}"
            failures.append(PassedOver(decomposer.name, ErrorCode.INVALID_PLAN, why))
            continue
        return Decomposition(_named_after(sourced, failures), tuple(failures))
    code = max((failure.code for failure in failures), default=ErrorCode.NO_PLAN)
    raise PlanningError(code, "; ".join(map(str, failures)) or "no decomposer is configured")


def _named_after(sourced: SourcedPlan, failures: list[PassedOver]) -> SourcedPlan:
    if not failures:
        return sourced
    names = ", ".join(failure.name for failure in failures)
    return replace(sourced, source=f"{sourced.source} (after {names})")

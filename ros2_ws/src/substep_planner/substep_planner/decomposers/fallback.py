"""Several decomposers in order: the first that has a plan wins; those passed over are reported with the reason."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from substep_core.errors import ErrorCode, PlanningError
from substep_core.printable import printable
from substep_planner.decomposers.base import Decomposer, PlanRequest, SourcedPlan, UnsureError
from substep_planner.decomposers.plan_checks import missing_things, too_few, unknown_skills, untaught_skills

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
    questions: list[PlanningError] = []
    for decomposer in decomposers:
        try:
            sourced = decomposer.decompose(request)
        except PlanningError as error:
            failures.append(PassedOver(decomposer.name, error.code, str(error)))
            questions += [error] if error.clarification else []
            request = replace(request, was_refused=request.was_refused or error.is_refusal)
            continue
        except Exception as error:  # the border to whatever a backend is built on: the next one is asked
            log.warning("decomposer %s failed", decomposer.name, exc_info=True)
            why = f"{type(error).__name__}: {error}"
            failures.append(PassedOver(decomposer.name, ErrorCode.BACKEND_FAILED, why))
            continue
        if why := _unfit(sourced, request):  # whatever it is that was planned, it cannot be carried out here
            failures.append(PassedOver(decomposer.name, ErrorCode.INVALID_PLAN, why))
            continue
        return Decomposition(_named_after(sourced, failures), tuple(failures))
    return _asked_back(request, failures, questions)


def _unfit(sourced: SourcedPlan, request: PlanRequest) -> str:
    """Why a plan cannot be carried out in the scene, or is not what was asked for; empty: it can."""
    if sourced.plan is None:
        return ""
    if sourced.is_open and request.must_be_whole:
        return "plans one substep at a time, and the whole plan is wanted"
    if unknown := unknown_skills(sourced.plan, request.skills):
        return f"plans with what the robot cannot do: {'; '.join(unknown)}"
    if untaught := untaught_skills(sourced.plan, request.skills, request.policy_skills):
        return f"plans with what the policy cannot do: {'; '.join(untaught)}"
    if missing := missing_things(sourced.plan, request.objects, request.skills):
        return f"plans with what is not there: the scene has no {', no '.join(missing)}"
    if few := too_few(sourced.plan, request.counts):
        return f"plans with more than is there: the scene has {'; '.join(few)}"
    return ""


def _asked_back(request: PlanRequest, failures: list[PassedOver], questions: list[PlanningError]) -> Decomposition:
    """What is suggested, if that is to be taken.

    Raises:
        PlanningError: it is not, or nothing is; with the first question that there is.
    """
    code = max((failure.code for failure in failures), default=ErrorCode.NO_PLAN)
    message = "; ".join(map(str, failures)) or "no decomposer is configured"
    for question in questions:
        if not isinstance(question, UnsureError) or _unfit(question.suggested, request):
            continue
        if request.take_suggestion:
            return Decomposition(question.suggested, tuple(failures))
        raise UnsureError(message, question.clarification, question.suggested) from question
    asked = [error.clarification for error in questions if not isinstance(error, UnsureError)]
    raise PlanningError(code, message, asked[0] if asked else "")


def _named_after(sourced: SourcedPlan, failures: list[PassedOver]) -> SourcedPlan:
    if not failures:
        return sourced
    names = ", ".join(failure.name for failure in failures)
    return replace(sourced, source=f"{sourced.source} (after {names})")

"""No decomposition: the task is its own only substep. For policies that were trained on whole instructions."""

from __future__ import annotations

from substep_core.errors import ErrorCode, PlanningError
from substep_core.plan import Plan, PlanFormatError, Substep
from substep_planner.decomposers.base import PlanRequest, SourcedPlan
from substep_planner.decomposers.registry import DecomposerSettings
from substep_planner.decomposers.remaining import remaining_plan


class WholeTaskDecomposer:
    """Hands the instruction through."""

    name = "whole_task"
    wants_picture = False

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        """See ``Decomposer``."""
        try:
            plan = Plan(request.instruction, (Substep(request.instruction, f"done: {request.instruction}"),))
        except PlanFormatError as error:
            raise PlanningError(ErrorCode.NO_PLAN, str(error)) from error
        return SourcedPlan(remaining_plan(plan, request.done), self.name)


def create(settings: DecomposerSettings) -> WholeTaskDecomposer:
    return WholeTaskDecomposer()

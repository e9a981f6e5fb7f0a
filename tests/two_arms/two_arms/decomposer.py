"""Plans one arm after the other."""

from __future__ import annotations

from substep_core.plan import Plan, Substep
from substep_planner.decomposers.base import PlanRequest, SourcedPlan


class ByArm:
    """Implements ``substep_planner.decomposers.base.Decomposer``."""

    name, wants_picture = "by_arm", False

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        both = request.instruction.removeprefix("move both arms ")
        steps = [Substep(f"move the {arm} arm {both}", f"the {arm} arm is {both}") for arm in ("left", "right")]
        return SourcedPlan(Plan(request.instruction, tuple(steps)), self.name)


def create(settings) -> ByArm:
    return ByArm()

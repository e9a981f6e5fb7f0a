"""Replanning for decomposers that see the instruction alone: the plan from the failed substep on."""

from __future__ import annotations

from substep_core.errors import ErrorCode, PlanningError
from substep_core.plan import Plan, Substep


def remaining_plan(plan: Plan, done: tuple[Substep, ...]) -> Plan:
    """The plan without its first substeps, which must be those already done.

    Raises:
        PlanningError: what was done is not how this plan begins, or nothing is left.
    """
    if [step.instruction for step in plan.substeps[: len(done)]] != [step.instruction for step in done]:
        raise PlanningError(
            ErrorCode.NO_PLAN,
            f"the plan for {plan.instruction!r} does not begin with what was done: "
            f"{[step.instruction for step in done]}",
        )
    if len(done) == len(plan.substeps):
        raise PlanningError(ErrorCode.NO_PLAN, f"all {len(done)} substeps of {plan.instruction!r} are done already")
    return Plan(plan.instruction, plan.substeps[len(done) :])

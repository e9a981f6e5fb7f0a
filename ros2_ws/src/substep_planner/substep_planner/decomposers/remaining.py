"""Planning again in mid-task, for decomposers whose plan depends on the instruction alone."""

from __future__ import annotations

from substep_planner.errors import ErrorCode, PlanningError
from substep_planner.plan import Plan, Substep


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

"""Which plan each decomposer would have made of the tasks of a recorded run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from substep_core.errors import PlanningError
from substep_core.given_parameters import GivenParameters
from substep_core.plan import Substep
from substep_core.ros import topics
from substep_planner import parameters as planner_parameters
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.registry import load_decomposers
from substep_planner.messages import categories_in_scene
from training.rerun.recorded import RecordedGoal, RecordedRun


@dataclass(frozen=True)
class OtherPlan:
    """A decomposer's plan for a task of the run.

    Attributes:
        instructions: of its substeps; empty where it has no plan.
        source: which decomposer, or ``recorded``.
        problem: why it has none, or that it looks at pictures; empty: it has one.
        same: as the recorded plan, by instructions.
    """

    task: str
    source: str
    instructions: tuple[str, ...] = ()
    problem: str = ""
    same: bool = True
    plan: tuple[Substep, ...] = field(default=(), repr=False)


def plans(run: RecordedRun, decomposers: Sequence[str], parameters: GivenParameters) -> list[OtherPlan]:
    """For each task that was begun: the recorded plan, then every decomposer's.

    Raises:
        ValueError: there is no such decomposer.
    """
    loaded = load_decomposers(decomposers, planner_parameters.decomposer_settings(parameters)) if decomposers else ()
    counts = _counts(run)
    found: list[OtherPlan] = []
    for goal in run.first_goals:
        recorded = _recorded(run, goal)
        found += [recorded, *(_plan(goal, recorded, decomposer, counts) for decomposer in loaded)]
    return found


def _recorded(run: RecordedRun, goal: RecordedGoal) -> OtherPlan:
    plan, source = run.plans.get(goal.plan_id, ((), ""))
    problem = "" if plan else f"no plan was recorded: the bag lacks {topics.EXECUTE_TASK.feedback.name}"
    return OtherPlan(goal.task, f"recorded, by {source}" if source else "recorded", _words(plan), problem, True, plan)


def _plan(goal: RecordedGoal, recorded: OtherPlan, decomposer, counts: Counter[str]) -> OtherPlan:
    if decomposer.wants_picture:
        return OtherPlan(goal.task, decomposer.name, problem="it looks at pictures, which a rerun does not show it")
    try:
        request = PlanRequest(goal.task, goal.suite, objects=frozenset(counts), counts=counts)
        sourced = decompose(request, [decomposer]).sourced
    except PlanningError as error:
        return OtherPlan(goal.task, decomposer.name, problem=str(error), same=False)
    words = _words(sourced.plan.substeps)
    return OtherPlan(goal.task, sourced.source, words, same=words == recorded.instructions)


def _words(plan: Sequence[Substep]) -> tuple[str, ...]:
    return tuple(substep.instruction for substep in plan)


def _counts(run: RecordedRun) -> Counter[str]:
    """Of each category, how much was in the scene at first; none where that was not recorded."""
    first = next(iter(run.bag.read([topics.SCENE_STATE])), None)
    return categories_in_scene(first.data if first else b"")

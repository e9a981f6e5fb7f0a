"""What a policy names by itself, against the plan that the evaluation's decomposers have for the task."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from substep_core.errors import PlanningError
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.registry import DecomposerSettings, load_decomposers
from training.evaluation.episodes import EpisodeKey
from training.evaluation.instructions import instruction_told
from training.evaluation.probes import PROBES, TaskProbe
from training.evaluation.settings import EpisodeSettings

log = logging.getLogger(__name__)


def planned_words(settings: EpisodeSettings, key: EpisodeKey) -> list[str]:
    """The substeps of an episode's plan; of a probe that is compared, of the plan that it is compared with.

    Empty where no decomposer has a whole plan, such as a policy that names one substep at a time; that is logged.
    """
    probe = PROBES[key.probe]
    assert isinstance(probe, TaskProbe)
    told = instruction_told(probe.told, settings.source, key.suite, key.task, key.number, settings.wordings)
    instruction = told or settings.source.task(key.suite, key.task).instruction
    names = settings.decomposers if probe.compared else settings.decomposers_of(probe)
    decomposers = load_decomposers(names, DecomposerSettings())
    try:
        plan = decompose(PlanRequest(instruction, key.suite, must_be_whole=True), decomposers).sourced.plan
    except PlanningError as error:
        log.warning("%s task %d has no plan to be compared with: %s", key.suite, key.task, error)
        return []
    return [substep.instruction for substep in plan.substeps]


def named_words(record: dict[str, Any]) -> list[str]:
    """What an episode went through, in order; one that was begun again, or named again at once, counts once."""
    words = [substep["instruction"] for substep in record["substeps"] if not substep["undone"]]
    return [word for number, word in enumerate(words) if number == 0 or word != words[number - 1]]


def own_words(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many of the substeps named are of the plan, how many at their place in it, and how often all of them.

    Args:
        records: those without a plan to be compared with do not count, but as ``without_plan``.
    """
    pairs = [(named_words(record), record["reference"]) for record in records if record["reference"]]
    places = [zip(named, plan, strict=False) for named, plan in pairs]
    return {
        "episodes": len(pairs),
        "without_plan": len(records) - len(pairs),
        "named": sum(len(named) for named, _ in pairs),
        "of_plan": sum(word in plan for named, plan in pairs for word in named),
        "in_place": sum(one == other for place in places for one, other in place),
        "planned": sum(len(plan) for _, plan in pairs),
        "whole_plans": sum(named == plan for named, plan in pairs),
    }

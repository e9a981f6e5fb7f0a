"""Which instruction the planner is given: the task's own, another wording of it, or another task's."""

from __future__ import annotations

from pathlib import Path

from substep_core.plan import Library
from substep_core.tasks import TaskSource
from substep_planner.decomposers.library import find_plan, shipped_library
from substep_planner.paraphrases import shipped_paraphrases
from training.evaluation.others_wordings import others_wording
from training.evaluation.probes import Told

OWN = ""  # as in ExecuteTask: the episode's own instruction


def instruction_told(
    told: Told, source: TaskSource, suite: str, task: int, episode: int, wordings: Path | None = None
) -> str:
    """The instruction for an episode; ``OWN`` for the task's own. Args: wordings: folder of those that others wrote."""
    match told:
        case Told.OWN:
            return OWN
        case Told.REWORDED:
            return reworded_instruction(source, suite, task, episode)
        case Told.OTHERS_WORDS:
            return others_wording(wordings, suite, task, episode)
        case Told.OTHER:
            return other_instruction(source, suite, task)
    raise TypeError(f"{told} is not defined here")


def reworded_instruction(source: TaskSource, suite: str, task: int, episode: int) -> str:
    """Another wording of the task, another one each episode; its own words where none is known."""
    wordings = shipped_paraphrases().get(suite, {}).get(source.task(suite, task).instruction)
    return wordings[episode % len(wordings)] if wordings else OWN


def other_instruction(source: TaskSource, suite: str, task: int) -> str:
    """The instruction of the next task of the suite with another sentence and as many substeps, so that the plan lasts
    as long; of the next with another sentence where no plan is as long.

    Raises:
        ValueError: all tasks of the suite have one instruction.
    """
    indices = list(source.playable(suite))
    after = [index for index in indices if index > task] + [index for index in indices if index < task]
    own, library, first = source.task(suite, task).instruction, shipped_library(), None
    length = _substeps(library, suite, own)
    for index in after:
        other = source.task(suite, index).instruction
        if other != own and _substeps(library, suite, other) == length:
            return other
        first = first or (other if other != own else None)
    if first is None:
        raise ValueError(f"suite {suite!r} has no task with another instruction than {own!r}")
    return first


def _substeps(library: Library, suite: str, instruction: str) -> int:
    found = find_plan(library, instruction, suite)
    return len(found[1].substeps) if found else 0

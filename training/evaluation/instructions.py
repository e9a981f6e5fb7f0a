"""Which instruction the planner is given: the task's own, another wording of it, or another task's."""

from __future__ import annotations

from pathlib import Path

from substep_core.plan import Library
from substep_core.tasks import TaskSource, base_of
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
            return others_wording(wordings, source.task(suite, task), episode)
        case Told.OTHER:
            return other_instruction(source, suite, task)
    raise TypeError(f"{told} is not defined here")


def reworded_instruction(source: TaskSource, suite: str, task: int, episode: int) -> str:
    """Another wording of the task, another one each episode; its own words where none is known."""
    told = source.task(suite, task)
    wordings = shipped_paraphrases().get(base_of(told)[0], {}).get(told.instruction)
    return wordings[episode % len(wordings)] if wordings else OWN


def other_instruction(source: TaskSource, suite: str, task: int) -> str:
    """The instruction of the next task of the suite with another sentence and as many substeps, so that the plan lasts
    as long; of the next with another sentence where no plan is as long. Perturbations of one task are the same task:
    what they say may be it in other words, and is no other one's.

    Raises:
        ValueError: all tasks of the suite have one instruction, or are perturbations of one task.
    """
    indices = list(source.playable(suite))
    after = [index for index in indices if index > task] + [index for index in indices if index < task]
    own, library, first = source.task(suite, task), shipped_library(), None
    length = _substeps(library, suite, own.instruction)
    for index in after:
        other = source.task(suite, index)
        if other.instruction == own.instruction or base_of(other) == base_of(own):
            continue
        if _substeps(library, suite, other.instruction) == length:
            return other.instruction
        first = first or other.instruction
    if first is None:
        raise ValueError(f"suite {suite!r} has no other task with another instruction than {own.instruction!r}")
    return first


def _substeps(library: Library, suite: str, instruction: str) -> int:
    found = find_plan(library, instruction, suite)
    return len(found[1].substeps) if found else 0

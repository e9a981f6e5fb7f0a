"""Which other task's instruction a policy is told to see whether it looks at the words."""

from __future__ import annotations

from libero_bridge.tasks import load_task, task_names
from substep_planner.decomposers.library import find_plan, shipped_library
from substep_planner.plan import Library


def other_instruction(suite: str, task: int) -> str:
    """The instruction of the next task of the suite with another sentence and as many substeps, so that the plan lasts
    as long; of the next with another sentence where no plan is as long.

    Raises:
        ValueError: all tasks of the suite have one instruction.
    """
    count = len(task_names(suite))
    instructions = [load_task(suite, (task + step) % count).instruction for step in range(count)]
    others = [other for other in instructions[1:] if other != instructions[0]]
    if not others:
        raise ValueError(f"suite {suite!r} has no task with another instruction than {instructions[0]!r}")
    library = shipped_library()
    length = _substeps(library, suite, instructions[0])
    return next((other for other in others if _substeps(library, suite, other) == length), others[0])


def _substeps(library: Library, suite: str, instruction: str) -> int:
    found = find_plan(library, instruction, suite)
    return len(found[1].substeps) if found else 0

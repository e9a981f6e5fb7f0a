"""Two tasks, and where the arms are when they are done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from substep_core.tasks import PLAIN, Stratum, check_suite, check_task_index, standard_splits

SUITE = "two_arms"
INSTRUCTIONS = ("move both arms up", "move both arms down")
HEIGHT = {"up": 0.8, "down": -0.6}  # rad of every joint
POSES = {
    f"move the {arm} arm {way}": {arm: np.full(7, height)}
    for arm in ("left", "right")
    for way, height in HEIGHT.items()
}


def goal_of(task: int) -> np.ndarray:
    """(14,) rad."""
    return np.full(14, HEIGHT[INSTRUCTIONS[task].split()[-1]])


@dataclass(frozen=True)
class TwoArmTask:
    """Implements ``substep_core.tasks.Task``."""

    suite: str
    index: int
    name: str
    instruction: str
    category: str = ""
    difficulty: int | None = None
    variant: str = ""
    base: None = None

    def init_states(self) -> None:
        return None


class TwoArmTasks:
    """Implements ``substep_core.tasks.TaskSource``."""

    suites = default_suites = (SUITE,)
    splits = standard_splits(10)

    def __init__(self, folder: Path | None = None) -> None:
        pass

    def names(self, suite: str) -> tuple[str, ...]:
        check_suite(suite, self.suites)
        return tuple(text.replace(" ", "_") for text in INSTRUCTIONS)

    def playable(self, suite: str) -> dict[int, Stratum]:
        return dict.fromkeys(range(len(self.names(suite))), PLAIN)

    def task(self, suite: str, index: int) -> TwoArmTask:
        names = self.names(suite)
        check_task_index(suite, index, len(names))
        return TwoArmTask(suite, index, names[index], INSTRUCTIONS[index])

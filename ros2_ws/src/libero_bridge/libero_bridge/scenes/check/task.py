"""The check of one task: it loads, resets, takes each benchmark initial state, stays settled, and can be solved."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from libero_bridge import libero_setup
from libero_bridge.environment import build_environment, drawn_state, reset_environment
from libero_bridge.scenes.check.goals import reach_goal
from libero_bridge.scenes.check.settling import Settling, settle
from libero_bridge.tasks import INIT_STATES, LIBERO, ROBOT
from substep_core.contract import load_robot
from substep_core.tasks import task_source

MOST_MOVED = 0.02  # m
MOST_TIPPED = 30.0  # degrees


@dataclass(frozen=True)
class TaskCheck:
    """What to check: a task of a source, on which assets (see `SimulationConfig`), with how many initial states."""

    suite: str
    index: int
    assets: str
    states: int | None = None
    tasks_from: str = LIBERO


@dataclass(frozen=True)
class TaskReport:
    """What came out. `error` says why nothing else did."""

    suite: str
    index: int
    name: str = ""
    settling: Settling | None = None
    goals: dict[str, bool] | None = None
    error: str = ""

    def problems(self) -> list[str]:
        """What is wrong, in words; empty if all is well."""
        if self.error:
            return [self.error]
        settling = self.settling
        found = []
        if settling.slid > MOST_MOVED:
            found.append(f"slid {settling.slid * 1000:.0f} mm ({settling.worst})")
        if settling.crept > MOST_MOVED:
            found.append(f"still moving, {settling.crept * 1000:.0f} mm ({settling.worst})")
        if settling.tipped > MOST_TIPPED:
            found.append(f"tipped {settling.tipped:.0f} degrees ({settling.worst_tip})")
        return found + [f"not reached: {goal}" for goal, reached in self.goals.items() if not reached]

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self) | {"problems": self.problems()}


def check_task(check: TaskCheck) -> TaskReport:
    """Runs the check.

    Raises:
        ValueError: there is no such suite, task or asset folder.
    """
    task = task_source(check.tasks_from).task(check.suite, check.index)
    libero_setup.use_assets(check.assets)
    env = build_environment(task, load_robot(ROBOT), libero_setup.model_filter(check.assets))
    reset_environment(env, seed=0)
    states = task.init_states()
    if states is None:
        states = np.stack([drawn_state(env, number) for number in range(check.states or INIT_STATES)])
    settling = settle(env, states[: check.states])
    return TaskReport(check.suite, check.index, task.name, settling, reach_goal(env, states[0]))

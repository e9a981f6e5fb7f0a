"""Steps per second of a loop, in wall time and in processor time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import psutil

from libero_bridge.tasks import ROBOT
from substep_core.contract import ActionQuantity, initial_action, load_robot

WARM_UP_STEPS = 10


@dataclass(frozen=True)
class Speed:
    """Steps per second of wall time, and of processor time (what other programs on the machine do not disturb)."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:7.1f} steps/s   {1000 / self.processor:6.2f} ms of processor time a step"


def processor_time(pid: int) -> float:
    """s of processor time that a process has used so far, all its threads together."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


class Stopwatch:
    """Wall time and processor time of some processes between two control steps."""

    def __init__(self, step: int, *pids: int) -> None:
        self._pids = pids
        self._start = step, time.perf_counter(), self._processor()

    def read(self, step: int) -> Speed:
        """Speed since the start."""
        first, wall, processor = self._start
        steps = step - first
        return Speed(steps / (time.perf_counter() - wall), steps / (self._processor() - processor))

    def _processor(self) -> float:
        return sum(processor_time(pid) for pid in self._pids)


def measure(step: Callable[[np.ndarray], object], steps: int) -> Speed:
    """Calls ``step`` with small motions that repeat, after some that are not counted."""
    actions = motions(steps + WARM_UP_STEPS)
    for action in actions[:WARM_UP_STEPS]:
        step(action)
    stopwatch = Stopwatch(0, os.getpid())
    for action in actions[WARM_UP_STEPS:]:
        step(action)
    return stopwatch.read(steps)


def motions(count: int) -> np.ndarray:
    """(count, A) a slow circle above the table with the gripper open."""
    robot = load_robot(ROBOT)
    (group,) = robot.action_groups(ActionQuantity.DELTA_POSITION)
    phase = np.linspace(0, 2 * np.pi * count / 100, count)
    actions = np.tile(initial_action(robot).astype(float), (count, 1))
    position = actions[:, robot.action_slice(group)]
    position[:, 0], position[:, 1] = 0.2 * np.cos(phase), 0.2 * np.sin(phase)
    return actions

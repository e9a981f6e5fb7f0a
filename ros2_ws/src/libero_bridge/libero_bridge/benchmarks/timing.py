"""Steps per second of a loop, in wall time and in processor time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

WARM_UP_STEPS = 10


@dataclass(frozen=True)
class Speed:
    """Steps per second of wall time, and of processor time (what other programs on the machine do not disturb)."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:7.1f} steps/s   {1000 / self.processor:6.2f} ms of processor time a step"


def measure(step: Callable[[np.ndarray], object], steps: int) -> Speed:
    """Calls ``step`` with small motions that repeat, after some that are not counted."""
    actions = motions(steps + WARM_UP_STEPS)
    for action in actions[:WARM_UP_STEPS]:
        step(action)
    wall, processor = time.perf_counter(), time.process_time()
    for action in actions[WARM_UP_STEPS:]:
        step(action)
    return Speed(steps / (time.perf_counter() - wall), steps / (time.process_time() - processor))


def motions(count: int) -> np.ndarray:
    """(count, 7) a slow circle above the table with the gripper open."""
    phase = np.linspace(0, 2 * np.pi * count / 100, count)
    actions = np.zeros((count, 7))
    actions[:, 0], actions[:, 1], actions[:, 6] = 0.2 * np.cos(phase), 0.2 * np.sin(phase), -1
    return actions

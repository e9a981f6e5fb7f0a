"""The guard in front of the robot: it drops a chunk that fails one check whole, and latches where the robot must hold.

What it knows of the robot comes from the contract; ``GuardSettings`` says how strict the operator is beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from substep_bridge import chunk_checks
from substep_bridge.chunk_checks import Situation
from substep_bridge.moment import FINE, RobotMoment, beyond_limits
from substep_core.contract import RobotContract
from substep_core.protocol import ChunkReason, Reason

Check = Callable[[RobotContract, np.ndarray, Situation], Reason[ChunkReason]]
BEFORE_AGE = chunk_checks.is_finite, chunk_checks.has_shape
AFTER_AGE = (
    chunk_checks.is_in_range,
    chunk_checks.stays_in_the_box,
    chunk_checks.keeps_out,
    chunk_checks.stays_upright,
    chunk_checks.keeps_joint_limits,
    chunk_checks.is_slow_enough,
    chunk_checks.changes_little,
)


@dataclass(frozen=True)
class GuardSettings:
    """What is no property of the robot.

    Attributes:
        max_age: s of world time between the observation that a chunk answers and its arrival.
        max_failures: dropped chunks in a row after which the guard latches.
    """

    max_age: float = 1.0
    max_failures: int = 3

    def __post_init__(self) -> None:
        if not self.max_age >= 0:
            raise ValueError(f"max_age {self.max_age} is out of range: expected 0 s or more")
        if self.max_failures < 1:
            raise ValueError(f"max_failures {self.max_failures} is out of range: expected at least 1")


class SafetyGuard:
    """Judges chunks, counts failures, and looks at where the robot is after each control step.

    Attributes:
        latched: why the robot must hold until ``reset``; None: it need not.
    """

    def __init__(self, contract: RobotContract, settings: GuardSettings) -> None:
        self._contract, self._settings = contract, settings
        self.latched: str | None = None
        self._failures = 0

    def reset(self) -> None:
        self.latched = None
        self._failures = 0

    def check(self, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
        """Why a chunk (horizon, A), with any values, must not be played; ``FINE`` if it may."""
        return self.check_form(actions, situation) or self.check_motion(actions, situation)

    def check_form(self, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
        """Why a chunk (horizon, A), with any values, is none that could be played now or later; ``FINE`` if it is."""
        reason = self._first(BEFORE_AGE + (self._is_recent,), np.asarray(actions), situation)
        return self.fail(reason) if reason else FINE

    def check_motion(self, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
        """Why what is made of a chunk of the right form, (N, A) from the next control step on, must not be played."""
        reason = self._first(AFTER_AGE, np.asarray(actions), situation)
        if reason:
            return self.fail(reason)
        self._failures = 0
        return FINE

    def _first(self, checks: Sequence[Check], actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
        return next(filter(None, (check(self._contract, actions, situation) for check in checks)), FINE)

    def fail(self, reason: Reason[ChunkReason]) -> Reason[ChunkReason]:
        """Counts a failure that was found elsewhere (a message that cannot be read); returns the reason."""
        self._failures += 1
        if self._failures >= self._settings.max_failures:
            self.latch(f"{self._failures} chunks in a row were rejected, the last one for {reason.text}")
        return reason

    def watch(self, moment: RobotMoment) -> Reason[ChunkReason]:
        """Latches where the robot, as measured, is beyond a limit; returns that reason, ``FINE`` if it is not."""
        reason = beyond_limits(self._contract, moment)
        if reason:
            self.latch(reason.text)
        return reason

    def latch(self, why: str) -> None:
        """The robot holds until ``reset``; the first reason counts."""
        if self.latched is None:
            self.latched = why

    def _is_recent(self, contract: RobotContract, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
        age, limit = situation.age, self._settings.max_age
        if 0 <= age <= limit:
            return FINE
        return Reason(ChunkReason.AGE, f"the chunk answers an observation {age:.3f} s old, expected 0 to {limit} s")

"""The hand: one goal at a time, reached at the hand's own speed, or stalled on what it holds."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from substep_standin.settings import FINGER_JOINTS, OPEN_FINGER


class GripperCode(enum.IntEnum):
    REACHED = 0
    MOVING = 1
    STALLED = 2
    REJECTED = -1


class Gripper:
    """Follows the last goal.

    Attributes:
        goal: m, of the first finger: 0 closed, ``OPEN_FINGER`` open.
    """

    TOLERANCE = 0.003  # m from the goal that count as reached
    STILL, STILL_TIME = 0.004, 0.1  # m/s below which the fingers stand, and s for which they must
    TIMEOUT = 1.0  # s after which a goal that is not reached counts as stalled

    def __init__(self) -> None:
        self.goal = OPEN_FINGER
        self.code = GripperCode.REACHED
        self._still, self._since = 0.0, 0.0

    def command(self, fingers: Mapping[str, float], is_refused: str = "") -> str:
        """Takes a goal for the fingers. Returns: why it is rejected; empty: the hand begins to move."""
        if why := is_refused or _fault(fingers):
            self.code = GripperCode.REJECTED
            return why
        self.goal = fingers[FINGER_JOINTS[0]]
        self.code, self._still, self._since = GripperCode.MOVING, 0.0, 0.0
        return ""

    def advance(self, finger: float, speed: float, time: float) -> None:
        """Args: finger: m, where the first one is; speed: m/s, its own; time: s that passed."""
        if self.code is not GripperCode.MOVING:
            return
        self._since += time
        self._still = self._still + time if abs(speed) < self.STILL else 0.0
        if self._still < self.STILL_TIME and self._since < self.TIMEOUT:
            return
        reached = abs(finger - self.goal) <= self.TOLERANCE
        self.code = GripperCode.REACHED if reached else GripperCode.STALLED


def _fault(fingers: Mapping[str, float]) -> str:
    first, second = FINGER_JOINTS
    if first not in fingers or not set(fingers) <= {first, second}:
        return f"joints are {', '.join(fingers) or 'none'}: expected {first}, alone or with {second}"
    goal = fingers[first]
    if not 0.0 <= goal <= OPEN_FINGER:
        return f"{first} at {goal} m is out of range: expected 0 to {OPEN_FINGER}"
    if second in fingers and abs(fingers[second] + goal) > 1e-4:
        return f"{second} at {fingers[second]} m: expected {-goal}, the fingers move together"
    return ""

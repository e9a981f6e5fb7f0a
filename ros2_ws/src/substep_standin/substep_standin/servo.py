"""Cartesian rate commands, by MoveIt Servo's rules: which count, how long, and how the arm's reference follows them."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from substep_core.rotation import rotation_vector, turn
from substep_core.units import NANOSECONDS
from substep_standin.settings import ServoSettings


class ServoStatus(enum.IntEnum):
    """As moveit_msgs/ServoStatus numbers them; STALE is this driver's own."""

    INVALID = -1
    OK = 0
    HALT_FOR_COLLISION = 5
    JOINT_BOUND = 6
    STALE = 7


@dataclass(frozen=True)
class Twist:
    """A velocity that was commanded.

    Attributes:
        stamp: ns, of its header.
        frame: its header's.
        linear, angular: (3,) m/s and rad/s.
    """

    stamp: int
    frame: str
    linear: np.ndarray
    angular: np.ndarray


class ServoInput:
    """Decides which command counts.

    Args:
        known: frame -> function that gives its rotation (3, 3) in the base frame now.
    """

    def __init__(self, settings: ServoSettings, known: Mapping[str, Callable[[], np.ndarray]]) -> None:
        self._settings, self._known = settings, known
        self._newest: Twist | None = None
        self._not_before = 0
        self.refused = 0

    def accept(self, command: Twist, now: int) -> str:
        """Takes a command. Returns: why it is refused; empty: it counts, or an equally good or newer one already does.

        Args:
            now: ns, of the driver's clock.
        """
        if why := self._fault(command, now):
            self.refused += 1
            return why
        if command.stamp > self._not_before and (self._newest is None or command.stamp > self._newest.stamp):
            self._newest = command
        return ""

    def forget(self, now: int) -> None:
        """What was commanded up to now no longer counts."""
        self._newest, self._not_before = None, now

    def is_fresh(self, now: int) -> bool:
        return self._newest is not None and now - self._newest.stamp < self._settings.staleness * NANOSECONDS

    def target(self, now: int) -> np.ndarray:
        """(6,) m/s and rad/s in the base frame, within the limits; zero where no fresh command is there."""
        if not self.is_fresh(now):
            return np.zeros(6)
        rotation, settings = self._known[self._newest.frame](), self._settings
        linear, angular = rotation @ self._newest.linear, rotation @ self._newest.angular
        return np.concatenate([shortened(linear, settings.max_linear), shortened(angular, settings.max_angular)])

    def _fault(self, command: Twist, now: int) -> str:
        settings, age = self._settings, (now - command.stamp) / NANOSECONDS
        values = np.concatenate([command.linear, command.angular])
        if command.frame not in self._known:
            return f"header.frame_id {command.frame!r} is unknown: expected one of {', '.join(self._known)}"
        if not np.isfinite(values).all():
            return f"the twist {values} is not finite"
        if age < -settings.staleness:
            return f"header.stamp lies {-age:.3f} s in the future"
        for name, part, limit in (
            ("linear", command.linear, settings.max_linear),
            ("angular", command.angular, settings.max_angular),
        ):
            if np.linalg.norm(part) > settings.refused_factor * limit:
                return f"{name} velocity {np.linalg.norm(part):.2f} is far beyond the limit of {limit:g}"
        return ""


class PoseReference:
    """The pose that the arm is to be at: it moves with a smoothed velocity and does not run away from the arm.

    Attributes:
        velocity, acceleration: (6,) m/s and rad/s, m/s² and rad/s².
        position: (3,) m; rotation: (3, 3).
    """

    LEASH, TURN_LEASH = 0.02, 0.2  # m and rad that it may be ahead: how hard the arm presses where it cannot go on

    def __init__(self, settings: ServoSettings, position: np.ndarray, rotation: np.ndarray) -> None:
        self._settings = settings
        self.restart(position, rotation)

    def restart(self, position: np.ndarray, rotation: np.ndarray) -> None:
        """From where the arm is, standing."""
        self.position, self.rotation = position.copy(), rotation.copy()
        self.velocity, self.acceleration = np.zeros(6), np.zeros(6)

    def advance(self, target: np.ndarray, position: np.ndarray, rotation: np.ndarray, time: float) -> None:
        """Moves on.

        Args:
            target: (6,) velocity to come to.
            position, rotation: where the arm is.
            time: s.
        """
        settings = self._settings
        change = (target - self.velocity) / settings.time_constant
        linear = shortened(change[:3], settings.max_linear_acceleration)
        angular = shortened(change[3:], settings.max_angular_acceleration)
        self.acceleration = np.concatenate([linear, angular])
        self.velocity = self.velocity + self.acceleration * time
        ahead = self.position + self.velocity[:3] * time - position
        self.position = position + shortened(ahead, self.LEASH)
        turned = rotation_vector(turn(self.velocity[3:] * time) @ self.rotation @ rotation.T)
        self.rotation = turn(shortened(turned, self.TURN_LEASH)) @ rotation


def shortened(vector: np.ndarray, length: float) -> np.ndarray:
    """The vector itself, or one of that length in its direction where it is longer."""
    norm = float(np.sqrt(vector @ vector))
    return vector if norm <= length else vector * (length / norm)

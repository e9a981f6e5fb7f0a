"""Trajectories of the arm's joints, by joint_trajectory_controller's rules: what is refused, and what is followed."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from substep_core.units import NANOSECONDS
from substep_standin.settings import ARM_JOINTS, RobotLimits, TrajectorySettings

STANDING = 1e-3  # rad/s: velocities up to here are zero


class TrajectoryCode(enum.IntEnum):
    """As control_msgs/action/FollowJointTrajectory numbers them; the first and the last are this driver's own."""

    ACCEPTED = 1
    SUCCESSFUL = 0
    INVALID_GOAL = -1
    INVALID_JOINTS = -2
    OLD_HEADER_TIMESTAMP = -3
    PATH_TOLERANCE_VIOLATED = -4
    GOAL_TOLERANCE_VIOLATED = -5
    NOT_READY = -6


class TrajectoryRefused(ValueError):
    """A trajectory that is not carried out."""

    def __init__(self, code: TrajectoryCode, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True)
class Point:
    """Where the joints are to be at a time.

    Attributes:
        time: ns from the trajectory's start.
        positions: rad, in the trajectory's order of joints.
        velocities: rad/s; empty: none are said.
    """

    time: int
    positions: tuple[float, ...]
    velocities: tuple[float, ...] = ()


@dataclass(frozen=True)
class JointTrajectory:
    """What was commanded.

    Attributes:
        stamp: ns of its start; 0: now.
    """

    stamp: int
    joints: tuple[str, ...]
    points: tuple[Point, ...]


class JointMotion:
    """An accepted trajectory: (7,) positions and velocities at any time, from where the joints were when it came."""

    def __init__(self, times: np.ndarray, positions: np.ndarray, velocities: np.ndarray | None) -> None:
        """Args: times: (N,) ns, the first that of acceptance; positions, velocities: (N, 7)."""
        self._times, self._positions, self._velocities = times, positions, velocities

    @property
    def end(self) -> int:
        return int(self._times[-1])

    def at(self, now: int) -> tuple[np.ndarray, np.ndarray]:
        """Cubic between points that say velocities, straight between others."""
        if now >= self.end:
            return self._positions[-1], np.zeros(self._positions.shape[1])
        after = int(np.clip(np.searchsorted(self._times, now, side="right"), 1, len(self._times) - 1))
        begin, end = self._times[after - 1], self._times[after]
        length, share = (end - begin) / NANOSECONDS, max(0.0, (now - begin) / (end - begin))
        first, last = self._positions[after - 1], self._positions[after]
        if self._velocities is None:
            return first + (last - first) * share, (last - first) / length
        leave, arrive = (self._velocities[index] * length for index in (after - 1, after))
        quadratic, cubic = 3 * (last - first) - 2 * leave - arrive, leave + arrive - 2 * (last - first)
        position = first + share * (leave + share * (quadratic + share * cubic))
        return position, (leave + share * (2 * quadratic + 3 * share * cubic)) / length


def accepted(
    command: JointTrajectory,
    now: int,
    position: np.ndarray,
    velocity: np.ndarray,
    settings: TrajectorySettings,
    limits: RobotLimits,
) -> JointMotion:
    """The motion that a command means.

    Args:
        now: ns; position, velocity: (7,) that the joints are told now, in the order of ``ARM_JOINTS``.

    Raises:
        TrajectoryRefused: says which rule it breaks.
    """
    order = _order(command.joints)
    _check_points(command, settings)
    start = command.stamp or now
    times = np.array([start + point.time for point in command.points], np.int64)
    to_come = [index for index, time in enumerate(times) if time > now]
    if not to_come:
        raise TrajectoryRefused(TrajectoryCode.OLD_HEADER_TIMESTAMP, "all of its points have passed")
    places = np.array([command.points[index].positions for index in to_come])[:, order]
    said = [command.points[index].velocities for index in to_come]
    speeds = np.vstack([velocity, np.array(said)[:, order]]) if all(said) else None
    motion_times, motion_places = np.concatenate([[now], times[to_come]]), np.vstack([position, places])
    _check_limits(motion_times, motion_places, speeds, limits)
    return JointMotion(motion_times, motion_places, speeds)


def _order(joints: Sequence[str]) -> list[int]:
    if sorted(joints) != sorted(ARM_JOINTS):
        raise TrajectoryRefused(
            TrajectoryCode.INVALID_JOINTS, f"joints are {', '.join(joints) or 'none'}: expected all of "
            f"{', '.join(ARM_JOINTS)}, each once"
        )  # fmt: skip
    return [joints.index(name) for name in ARM_JOINTS]


def _check_points(command: JointTrajectory, settings: TrajectorySettings) -> None:
    if not command.points:
        raise TrajectoryRefused(TrajectoryCode.INVALID_GOAL, "it has no points")
    width, last = len(command.joints), -1
    for index, point in enumerate(command.points):
        if len(point.positions) != width or len(point.velocities) not in (0, width):
            raise TrajectoryRefused(TrajectoryCode.INVALID_GOAL, f"point {index} has not one value for each joint")
        if not np.isfinite([*point.positions, *point.velocities]).all():
            raise TrajectoryRefused(TrajectoryCode.INVALID_GOAL, f"point {index} is not finite")
        if point.time <= last:
            raise TrajectoryRefused(TrajectoryCode.INVALID_GOAL, f"point {index} is not later than the one before")
        last = point.time
    moves = np.abs(command.points[-1].velocities).max(initial=0.0) > STANDING
    if moves and not settings.allow_nonzero_velocity_at_trajectory_end:
        raise TrajectoryRefused(TrajectoryCode.INVALID_GOAL, "the last point's velocity is not zero")


def _check_limits(times: np.ndarray, places: np.ndarray, speeds: np.ndarray | None, limits: RobotLimits) -> None:
    outside = (places[1:] < limits.joint_low) | (places[1:] > limits.joint_high)
    if outside.any():
        joint = ARM_JOINTS[int(outside.any(axis=0).argmax())]
        raise TrajectoryRefused(TrajectoryCode.INVALID_GOAL, f"{joint} would go beyond its stop")
    implied = np.abs(np.diff(places, axis=0)) / (np.diff(times) / NANOSECONDS)[:, None]
    fastest = implied if speeds is None else np.vstack([implied, np.abs(speeds[1:])])
    if (fastest > limits.joint_velocity).any():
        joint = ARM_JOINTS[int((fastest / np.array(limits.joint_velocity)).max(axis=0).argmax())]
        raise TrajectoryRefused(TrajectoryCode.INVALID_GOAL, f"{joint} would be faster than its limit")

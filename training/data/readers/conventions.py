"""What actions in files mean. Files do not say it, so values that cannot mean what the contract says are refused.

An action learned with another convention is a motion the other way, and no loss shows it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from substep_core.configuration import configuration
from substep_core.contract import ActionGroup, ActionQuantity, RobotContract, StateGroup, StateQuantity
from training.data.readers.demonstration import Demonstration, DemonstrationError

NEAR = 0.05  # of closedness, −1 to 1: what counts as the same value
BEYOND = 1e-3  # part of a group's range that rounding may leave it by
HELD = 5  # timesteps of a command after which fingers have moved


class ConventionError(DemonstrationError):
    """The data mean something else than is assumed; leaving an episode out would not mend that."""


@configuration
class GripperValues:
    """What a file holds where it opens and where it closes a gripper."""

    opened: float
    closed: float

    def __post_init__(self) -> None:
        if self.opened == self.closed:
            raise ValueError(f"opened and closed are both {self.opened}")


@configuration
class FileSource:
    """What can be said of the files of any format that ships.

    Attributes:
        suite: of the labels; None: as the format's own attributes say.
        gripper: values of gripper commands; None: the robot's own.
        clip_actions: what lies beyond the robot's limits is cut off.
        allow_missing: demonstrations that are missing are counted as damaged, and do not stop the reading.
        collection: tells these demonstrations from those of other sources of the same tasks.
        labels: their ``substep_labels.json``; None: see ``DataConfig.labels``.
    """

    path: Path
    suite: str | None = None
    gripper: GripperValues | None = None
    clip_actions: bool = False
    allow_missing: bool = False
    collection: str = ""
    labels: Path | None = None


def as_commanded(source: FileSource, robot: RobotContract, actions: np.ndarray) -> np.ndarray:
    """Actions (T, A) as a file has them -> as the robot takes them.

    Raises:
        DemonstrationError: they have another shape.
    """
    if actions.ndim != 2 or actions.shape[1] != robot.action_width:
        raise DemonstrationError(f"actions has shape {actions.shape}, expected ({len(actions)}, {robot.action_width})")
    actions = np.array(actions, np.float32)
    for group in robot.action:
        part = robot.action_slice(group)
        if group.is_gripper and source.gripper is not None:
            opened, closed = source.gripper.opened, source.gripper.closed
            share = (actions[:, part] - opened) / (closed - opened)
            actions[:, part] = group.opened + share * (group.closed - group.opened)
        if source.clip_actions:
            actions[:, part] = actions[:, part].clip(*_limits(group))
    return actions


def check_actions(demonstration: Demonstration) -> None:
    """Raises: ConventionError: its actions cannot mean what the contract says."""
    robot, taught = demonstration.robot, demonstration.taught
    actions, proprio = demonstration.actions[taught], demonstration.proprio[taught]
    if not len(actions):
        return
    for group in robot.action:
        _check_range(group, actions[:, robot.action_slice(group)], demonstration.source)
    fingers = [group for group in robot.state_groups(StateQuantity.GRIPPER_POSITION) if group.opening]
    grippers = robot.action_groups(ActionQuantity.GRIPPER)
    for number, group in enumerate(grippers):
        closedness = group.closedness(actions[:, robot.action_slice(group)])[:, 0]
        _check_half(group, closedness, demonstration.source)
        if len(fingers) == len(grippers):
            _check_sign(group, closedness, _opening(robot, fingers[number], proprio), demonstration.source)


def _limits(group: ActionGroup) -> tuple[float, float]:
    values = (group.opened, group.closed) if group.is_gripper else (group.low, group.high)
    return min(values), max(values)


def _check_range(group: ActionGroup, values: np.ndarray, where: str) -> None:
    low, high = _limits(group)
    margin = (NEAR / 2 if group.is_gripper else BEYOND) * (high - low)
    if values.min() < low - margin or values.max() > high + margin:
        remedy = "`gripper`, its values where it is opened and closed" if group.is_gripper else "`clip_actions: true`"
        raise ConventionError(
            f"{where}: action group {group.name} has values from {values.min():g} to {values.max():g}, the robot takes "
            f"{low:g} to {high:g}. Are they in another unit or convention? Otherwise give the source {remedy}"
        )


def _check_half(group: ActionGroup, closedness: np.ndarray, where: str) -> None:
    """Commands that are all either in the middle or at one end are of a gripper with 0 where the robot's has −1."""
    is_middle, is_end = np.abs(closedness) < NEAR, np.abs(np.abs(closedness) - 1) < NEAR
    if (is_middle | is_end).all() and is_middle.any() and not {-1, 1} <= set(np.sign(closedness[is_end])):
        middle = (group.opened + group.closed) / 2
        end = "nothing else" if not is_end.any() else f"{group.closed if closedness[is_end][0] > 0 else group.opened:g}"
        raise ConventionError(
            f"{where}: action group {group.name} has {middle:g} and {end} alone; the robot opens with {group.opened:g} "
            f"and closes with {group.closed:g}. Give the source `gripper`, its values where it is opened and closed"
        )


def _opening(robot: RobotContract, group: StateGroup, proprio: np.ndarray) -> np.ndarray:
    """(T,) m between the fingers."""
    return proprio[:, robot.state_slice(group)] @ np.asarray(group.opening)


def _check_sign(group: ActionGroup, closedness: np.ndarray, opening: np.ndarray, where: str) -> None:
    """Fingers that are wide apart where they are told to close have it the other way round."""
    middle, half = (closedness.max() + closedness.min()) / 2, np.ptp(closedness) / 2
    closing, opened = closedness > middle + half / 2, closedness < middle - half / 2
    if half < NEAR or min(closing.sum(), opened.sum()) < HELD or np.ptp(opening) <= 0:
        return
    difference = opening[closing].mean() - opening[opened].mean()
    if difference > 0.3 * np.ptp(opening):
        raise ConventionError(
            f"{where}: the fingers are {difference * 1000:.0f} mm further apart where action group {group.name} closes "
            f"them ({group.closed:g}) than where it opens them ({group.opened:g}): it is the other way round in these "
            "data. Give the source `gripper`, its values where it is opened and closed"
        )

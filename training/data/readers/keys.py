"""Which key of a file holds which group or camera of a robot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from substep_core.contract import ActionGroup, CameraRole, RobotContract, StateGroup, StateQuantity
from training.data.readers.demonstration import DemonstrationError

Key = TypeVar("Key")
Column = Callable[[str], np.ndarray]  # key -> (T, n) values


def camera_keys(
    robot: RobotContract, given: Mapping[str, Key] | None, usual: Mapping[CameraRole, Key], source: str
) -> dict[str, Key]:
    """Camera of the robot -> key of its frames.

    Args:
        given: as configured; None: the usual keys.
        usual: of files of this kind, by what a camera is for.

    Raises:
        DemonstrationError: a camera that the robot does not have, or no usual key for one that it has.
    """
    if given is not None:
        if strangers := sorted(set(given) - set(robot.camera_names)):
            there = ", ".join(robot.camera_names)
            raise DemonstrationError(f"{source}: cameras names {', '.join(strangers)}; robot {robot.name} has {there}")
        return dict(given)
    found = {camera.name: usual.get(camera.role) for camera in robot.cameras}
    _check_usual(found, robot, source, "cameras", "camera")
    return found


def state_keys(
    robot: RobotContract, given: Mapping[str, str] | None, usual: Mapping[StateQuantity, str], source: str
) -> dict[str, str]:
    """State group -> key of its values; as ``camera_keys``."""
    if given is not None:
        return dict(given)
    found = {group.name: usual.get(group.quantity) for group in robot.state}
    _check_usual(found, robot, source, "state", "state group")
    return found


def read_groups(
    groups: Sequence[StateGroup | ActionGroup], keys: str | Mapping[str, str], read: Column, what: str
) -> np.ndarray:
    """The vector of these groups (T, N) float32.

    Args:
        keys: of the whole vector, or of each group by its name.

    Raises:
        DemonstrationError: a group has no key or another width, or columns have different lengths.
    """
    if isinstance(keys, str):
        return read(keys).astype(np.float32)
    if set(keys) != (names := {group.name for group in groups}):
        raise DemonstrationError(f"{what} has keys of {', '.join(sorted(keys))}, expected {', '.join(sorted(names))}")
    parts = {}
    for group in groups:
        values = read(keys[group.name])
        parts[keys[group.name]] = values = values[:, None] if values.ndim == 1 else values
        if values.shape[1:] != (group.width,):
            raise DemonstrationError(
                f"{keys[group.name]} has {values.shape[1:]} values a timestep, group {group.name} has {group.width}"
            )
    if len({len(part) for part in parts.values()}) != 1:
        raise DemonstrationError(f"unequal lengths: {', '.join(f'{key} {len(part)}' for key, part in parts.items())}")
    return np.concatenate(list(parts.values()), axis=1).astype(np.float32)


def _check_usual(found: Mapping[str, object], robot: RobotContract, source: str, option: str, kind: str) -> None:
    keys = list(found.values())
    for name, key in found.items():
        if key is None or keys.count(key) > 1:
            why = "has no usual key" if key is None else f"would share the key {key} with another"
            raise DemonstrationError(
                f"{source}: {kind} {name} of robot {robot.name} {why} in such files: give the source `{option}`"
            )

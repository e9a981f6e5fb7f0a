"""Gripper commands in action vectors."""

from __future__ import annotations

import numpy as np

from substep_core.contract import ActionQuantity, RobotContract


def gripper_commands(robot: RobotContract, actions: np.ndarray) -> np.ndarray:
    """Actions (…, A) -> commands to each gripper (…, G): −1 opens, 1 closes."""
    grippers = robot.action_groups(ActionQuantity.GRIPPER)
    parts = [group.closedness(actions[..., robot.action_slice(group)]) for group in grippers]
    return np.concatenate(parts, axis=-1) if parts else np.zeros((*actions.shape[:-1], 0))


def has_keyframes(robot: RobotContract) -> bool:
    """Motions can be told apart: by a gripper, and by where an end effector is."""
    return robot.gripper is not None and robot.position is not None


def keyframes_missing(robot: RobotContract) -> str:
    """Why there are no keyframes, for messages."""
    parts = {"gripper": robot.gripper, "end effector position": robot.position}
    missing = [name for name, part in parts.items() if part is None]
    return f"robot {robot.name} has no {' and no '.join(missing)}"

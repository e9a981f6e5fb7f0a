"""The action vector: what a robot is told while nothing is played, and what its gripper was told."""

from __future__ import annotations

import numpy as np

from substep_core.contract.groups import ActionGroup, Hold
from substep_core.contract.robot import RobotContract


def initial_action(contract: RobotContract) -> np.ndarray:
    """(A,) float32: what counts as commanded before the first command."""
    parts = [np.full(group.width, group.initial if group.hold is Hold.LAST else 0.0) for group in contract.action]
    return np.concatenate(parts).astype(np.float32)


def hold_action(contract: RobotContract, last: np.ndarray, proprio: np.ndarray | None) -> np.ndarray:
    """(A,) float32 that makes the robot stay.

    Args:
        last: (A,) as last commanded.
        proprio: (S,) when the hold begins; needed by ``Hold.MEASURED`` alone.
    """
    action = np.array(last, np.float32)
    for group in contract.action:
        if group.hold is Hold.ZERO:
            action[contract.action_slice(group)] = 0.0
        elif group.hold is Hold.MEASURED:
            measured = proprio[contract.state_slice(contract.state_group(group.measured_by))]
            action[contract.action_slice(group)] = np.clip(measured / group.scale, group.low, group.high)
    return action


def gripper_command(contract: RobotContract, action: np.ndarray) -> float:
    """What an action (A,) tells the first gripper: -1 open, 1 closed; 0 where there is no gripper."""
    group = contract.gripper
    if group is None:
        return 0.0
    value = float(action[contract.action_slice(group)][0])
    middle, half = (group.closed + group.opened) / 2, (group.closed - group.opened) / 2
    return (value - middle) / half


def commanded_velocity(contract: RobotContract, group: ActionGroup, action: np.ndarray) -> np.ndarray:
    """(W,) ``group.unit``/s that covers in a control step what the robot does of a difference, by its ``response``.

    Args:
        group: of differences.
        action: (A,) as commanded.
    """
    return action[contract.action_slice(group)] * (group.scale * group.response * contract.rate)


def motion_values(contract: RobotContract) -> np.ndarray:
    """(A,) bool: which values of an action move the arm or the base, and not a gripper."""
    return np.concatenate([np.full(group.width, group.is_motion) for group in contract.action])


def action_limits(contract: RobotContract) -> tuple[np.ndarray, np.ndarray]:
    """(A,) least and (A,) largest value that may be commanded."""
    low, high = ([np.full(group.width, getattr(group, side)) for group in contract.action] for side in ("low", "high"))
    return np.concatenate(low), np.concatenate(high)

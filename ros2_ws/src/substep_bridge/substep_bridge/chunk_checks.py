"""What a chunk must be like to be played: finite, of the right shape, recent, in range, on a safe path, without haste.

Each check takes a chunk (horizon, A) with any values that passed the checks before it, and answers why it must not be
played. The limits are the robot contract's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from substep_bridge.moment import FINE, RobotMoment, approach_axis, tilts
from substep_core.contract import ActionGroup, ActionQuantity, RobotContract, first_within
from substep_core.protocol import ChunkReason, Reason
from substep_core.rotation import rotation_matrix

RANGE_TOLERANCE = 1e-3
DIFFERENCES = (ActionQuantity.DELTA_POSITION, ActionQuantity.DELTA_ROTATION)


@dataclass(frozen=True)
class Situation:
    """What a chunk is judged in.

    Attributes:
        age: s of world time since the observation that the chunk answers.
        moment: the robot as measured last.
        last: (A,) as last commanded, or as held.
        recent: (N, A) what the robot was told in the last control steps, the newest in the last row.
    """

    age: float
    moment: RobotMoment
    last: np.ndarray
    recent: np.ndarray


def is_finite(contract: RobotContract, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
    bad = np.argwhere(~np.isfinite(actions))
    if not len(bad):
        return FINE
    return Reason(ChunkReason.NOT_FINITE, f"value {actions[tuple(bad[0])]} at action {bad[0][0]}")


def has_shape(contract: RobotContract, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
    if actions.ndim != 2 or actions.shape[1] != contract.action_width:
        return Reason(ChunkReason.SHAPE, f"{actions.shape}, expected (horizon, {contract.action_width})")
    if not 1 <= len(actions) <= contract.max_horizon:
        return Reason(ChunkReason.SHAPE, f"horizon {len(actions)}, expected 1 to {contract.max_horizon}")
    return FINE


def is_in_range(contract: RobotContract, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
    for group in contract.action:
        values = actions[:, contract.action_slice(group)]
        outside = (values < group.low - RANGE_TOLERANCE) | (values > group.high + RANGE_TOLERANCE)
        if outside.any():
            worst = values[outside][0]
            return Reason(ChunkReason.RANGE, f"{group.name} {worst:.3f}, expected {group.low:g} to {group.high:g}")
    return FINE


def stays_in_the_box(contract: RobotContract, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
    """The predicted path. What the arm really does is looked at after each control step."""
    workspace = contract.workspace
    if workspace is None:
        return FINE
    path = _path(contract, actions, situation)
    outside = np.argwhere((path < np.array(workspace.low) - 1e-9) | (path > np.array(workspace.high) + 1e-9))
    if not len(outside):
        return FINE
    step, axis = outside[0]
    low, high = workspace.low[axis], workspace.high[axis]
    leads = f"action {step} leads to {'xyz'[axis]} = {path[step, axis]:.3f} m"
    return Reason(ChunkReason.WORKSPACE, f"{leads}, expected {low:.3f} to {high:.3f}")


def keeps_out(contract: RobotContract, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
    """The predicted path from where the end effector is, between its points too: a box may be thinner than a step."""
    workspace = contract.workspace
    if workspace is None or not workspace.keep_out:
        return FINE
    path = np.concatenate([situation.moment.position[None], _path(contract, actions, situation)])
    for box in workspace.keep_out:
        if (step := first_within(path, box.low, box.high)) is not None:
            leads = f"action {step} leads from {path[step].round(3)} to {path[step + 1].round(3)} m"
            return Reason(ChunkReason.WORKSPACE, f"{leads}, expected out of {box.name!r}")
    return FINE


def stays_upright(contract: RobotContract, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
    """The predicted rotations, each in the fixed frame and after the one before it."""
    workspace, groups = contract.workspace, contract.action_groups(ActionQuantity.DELTA_ROTATION)
    if workspace is None or workspace.max_tilt is None or not groups:
        return FINE
    axis = approach_axis(contract, situation.moment.proprio)
    for step, turn in enumerate(rotation_matrix(_motions(contract, groups[0], actions))):
        axis = turn @ axis
        if (tilt := float(tilts(contract, axis))) > workspace.max_tilt:
            leads = f"action {step} tilts the end effector by {tilt:.2f} rad"
            return Reason(ChunkReason.TILT, f"{leads}, expected at most {workspace.max_tilt}")
    return FINE


def keeps_joint_limits(contract: RobotContract, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
    """Of joints that are commanded by name: their positions, and the path that velocities lead to."""
    limits = {limit.name: limit for limit in contract.joint_limits}
    for group in contract.action:
        named = [(place, name) for place, name in enumerate(group.joints) if name in limits]
        values = actions[:, contract.action_slice(group)] * group.scale
        for place, name in named:
            path = values[:, place]
            if group.quantity is ActionQuantity.JOINT_VELOCITY:
                path = situation.moment.joints[name] + np.cumsum(path) / contract.rate
            elif group.quantity is not ActionQuantity.JOINT_POSITION:
                continue
            low, high = limits[name].low, limits[name].high
            outside = np.flatnonzero((path < low) | (path > high))
            if len(outside):
                leads = f"action {outside[0]} leads to {name} = {path[outside[0]]:.3f}"
                return Reason(ChunkReason.JOINT_LIMIT, f"{leads}, expected {low} to {high}")
    return FINE


def is_slow_enough(contract: RobotContract, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
    for group in contract.action:
        if group.max_step is None:
            continue
        largest = _largest_step(group, actions, situation.last, contract.action_slice(group))
        if largest > group.max_step:
            step = f"{group.name} {largest:.4f} {group.unit} in one step"
            return Reason(ChunkReason.SPEED, f"{step}, expected at most {group.max_step}")
    return FINE


def changes_little(contract: RobotContract, actions: np.ndarray, situation: Situation) -> Reason[ChunkReason]:
    """What the command changes by, from step to step, added up over the contract's ``change_time``."""
    steps = contract.change_steps
    for group in contract.action:
        if group.max_change is None:
            continue
        commands = np.concatenate([situation.recent[-steps:], actions])[:, contract.action_slice(group)]
        added = np.convolve(_changes(group, commands.astype(float)), np.ones(steps))
        largest = float(added.max())
        if largest > group.max_change * (1 + RANGE_TOLERANCE):
            limit = f"within {steps / contract.rate:g} s, expected at most {group.max_change:g}"
            return Reason(ChunkReason.CHANGE, f"{group.name} {_changed(group, largest)} {limit}")
    return FINE


def _changes(group: ActionGroup, commands: np.ndarray) -> np.ndarray:
    """(N, width) -> (N - 1,) from each control step to the next, in the group's unit; of a gripper 1 for each turn."""
    if group.is_gripper:
        return np.abs(np.diff(group.closedness(commands) > 0, axis=0)).sum(axis=1)
    return np.linalg.norm(np.diff(commands, axis=0), axis=1) * group.scale


def _changed(group: ActionGroup, largest: float) -> str:
    if group.is_gripper:
        return f"turns between opening and closing {largest:g} times"
    return f"changes by {largest:.4g} {group.unit}".rstrip()


def _path(contract: RobotContract, actions: np.ndarray, situation: Situation) -> np.ndarray:
    """(horizon, 3) m from the workspace's origin: where the end effector is predicted to be after each step."""
    (group, *_) = contract.action_groups(ActionQuantity.DELTA_POSITION)
    return situation.moment.position + np.cumsum(_motions(contract, group, actions), axis=0)


def _motions(contract: RobotContract, group: ActionGroup, actions: np.ndarray) -> np.ndarray:
    """(horizon, 3) in the group's unit: what the robot covers within each step."""
    values = np.clip(actions[:, contract.action_slice(group)], group.low, group.high)
    return values * (group.scale * group.response)


def _largest_step(group: ActionGroup, actions: np.ndarray, last: np.ndarray, place: slice) -> float:
    """In the group's unit: of differences the longest, of joints the largest change or velocity of any."""
    values = actions[:, place]
    if group.quantity in DIFFERENCES:
        return float(np.linalg.norm(values, axis=1).max() * group.scale)
    if group.quantity is ActionQuantity.JOINT_POSITION:
        values = np.diff(values, axis=0, prepend=last[None, place])
    return float(np.abs(values).max() * group.scale)

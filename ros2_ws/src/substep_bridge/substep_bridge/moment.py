"""The robot as measured after a control step, and the limits that its contract sets to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from substep_core.contract import Readings, RobotContract, state_vector
from substep_core.protocol import ChunkReason, Reason
from substep_core.rotation import rotation_matrix

FINE = Reason(ChunkReason.NONE)
ROUNDING = 1e-6  # m, rad


@dataclass(frozen=True)
class RobotMoment:
    """The robot as measured.

    Attributes:
        stamp: ns of world time at which it was so.
        now: ns of world time at which that is known: the same in a simulated world, later where sensors take time.
        proprio: (S,) proprioception.
        position: (3,) m of the end effector, from the workspace's origin; None for a robot without a workspace.
        joints: name -> position (rad, m).
    """

    stamp: int
    proprio: np.ndarray
    position: np.ndarray | None = None
    joints: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    now: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "now", max(self.now, self.stamp))


def moment_of(contract: RobotContract, stamp: int, readings: Readings, origin: np.ndarray, now: int = 0) -> RobotMoment:
    """What sensors say, as the guard looks at it.

    Args:
        origin: (3,) m in the contract's base frame: what the workspace's corners are measured from.
        now: ns of world time, where it is later than ``stamp``.

    Raises:
        ValueError: something that the contract names is missing or not finite.
    """
    proprio = state_vector(contract, readings)
    joints = {name: value for said in readings.joints.values() for name, value in said.position.items()}
    for limit in contract.joint_limits:
        if not np.isfinite(joints.get(limit.name, np.nan)):
            raise ValueError(f"joint {limit.name!r} is at {joints.get(limit.name)}, expected a finite position")
    position = None
    if contract.workspace is not None:
        position = proprio[contract.state_slice(contract.position)].astype(float) - origin
    return RobotMoment(stamp, proprio, position, joints, now)


def approach_axis(contract: RobotContract, proprio: np.ndarray) -> np.ndarray:
    """(3,) the end effector's z axis, of length 1, in the frame of its rotation."""
    return rotation_matrix(proprio[contract.state_slice(contract.rotation)].astype(float))[:, 2]


def beyond_limits(contract: RobotContract, moment: RobotMoment) -> Reason[ChunkReason]:
    """Which of the contract's limits the robot is beyond; ``FINE`` if it is within all of them."""
    return _out_of_the_box(contract, moment) or _tilted(contract, moment) or _bent(contract, moment)


def _out_of_the_box(contract: RobotContract, moment: RobotMoment) -> Reason[ChunkReason]:
    workspace = contract.workspace
    if workspace is None:
        return FINE
    if moment.position is None or not np.isfinite(moment.position).all():
        return Reason(ChunkReason.NOT_FINITE, f"the end effector is at {moment.position}")
    for axis, value, low, high in zip("xyz", moment.position, workspace.low, workspace.high, strict=True):
        if not low - ROUNDING <= value <= high + ROUNDING:
            where = f"the end effector is at {axis} = {value:.3f} m, expected {low:.3f} to {high:.3f}"
            return Reason(ChunkReason.WORKSPACE, where)
    for box in workspace.keep_out:
        if all(low < value < high for value, low, high in zip(moment.position, box.low, box.high, strict=True)):
            where = f"the end effector is at {moment.position.round(3)} m, expected out of {box.name!r}"
            return Reason(ChunkReason.WORKSPACE, where)
    return FINE


def _tilted(contract: RobotContract, moment: RobotMoment) -> Reason[ChunkReason]:
    workspace = contract.workspace
    if workspace is None or workspace.max_tilt is None:
        return FINE
    tilt = float(tilts(contract, approach_axis(contract, moment.proprio)))
    if tilt <= workspace.max_tilt + ROUNDING:
        return FINE
    return Reason(
        ChunkReason.TILT, f"the end effector is tilted by {tilt:.2f} rad, expected at most {workspace.max_tilt}"
    )


def _bent(contract: RobotContract, moment: RobotMoment) -> Reason[ChunkReason]:
    for limit in contract.joint_limits:
        value = moment.joints[limit.name]
        if not limit.low - ROUNDING <= value <= limit.high + ROUNDING:
            where = f"{limit.name} is at {value:.3f}, expected {limit.low} to {limit.high}"
            return Reason(ChunkReason.JOINT_LIMIT, where)
    return FINE


def tilts(contract: RobotContract, axes: np.ndarray) -> np.ndarray:
    """Directions (…, 3) of length 1 -> angles (…) in rad to the workspace's ``approach``."""
    return np.arccos(np.clip(axes @ np.asarray(contract.workspace.approach), -1.0, 1.0))

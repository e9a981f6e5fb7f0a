"""The proprioception vector, put together from poses and joints as a contract says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from substep_core.contract.groups import NO_ROTATION, JointSource, PoseSource, StateGroup
from substep_core.contract.robot import RobotContract
from substep_core.rotation import quaternion_product, quaternion_to_axis_angle


@dataclass(frozen=True)
class Pose:
    """position (3,) m, quaternion (4,) xyzw of length 1."""

    position: np.ndarray
    quaternion: np.ndarray


@dataclass(frozen=True)
class Joints:
    """name -> position (rad, m) and velocity (rad/s, m/s)."""

    position: Mapping[str, float]
    velocity: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Readings:
    """What a robot's sensors say besides images: topic -> what was said on it."""

    poses: Mapping[str, Pose]
    joints: Mapping[str, Joints]


def state_vector(contract: RobotContract, readings: Readings) -> np.ndarray:
    """(S,) float32 proprioception.

    Raises:
        ValueError: a topic or a joint that the contract names is missing, or a value is not finite.
    """
    parts = [_values(group, readings) for group in contract.state]
    vector = np.concatenate(parts).astype(np.float32)
    if not np.isfinite(vector).all():
        bad = next(group for group in contract.state if not np.isfinite(vector[contract.state_slice(group)]).all())
        raise ValueError(f"state group {bad.name!r} is not finite: {vector[contract.state_slice(bad)]}")
    return vector


def gripper_opening(contract: RobotContract, proprio: np.ndarray) -> float | None:
    """m between the fingers of the first gripper; None where the contract does not say how to tell."""
    for group in contract.state:
        if group.opening:
            values = proprio[contract.state_slice(group)]
            return float((values * np.asarray(group.opening, values.dtype)).sum())
    return None


def _values(group: StateGroup, readings: Readings) -> np.ndarray:
    source = group.source
    if isinstance(source, JointSource):
        return _joints(group, source, _of(readings.joints, source.topic, group))
    pose: Pose = _of(readings.poses, source.topic, group)
    return np.asarray(pose.position) if source.part == "position" else _rotation(source, pose)


def _joints(group: StateGroup, source: JointSource, said: Joints) -> np.ndarray:
    named = said.position if source.field == "position" else said.velocity
    if missing := [name for name in source.names if name not in named]:
        raise ValueError(
            f"{source.topic} has no {source.field} of {', '.join(missing)} (state group {group.name!r}); "
            f"it has {', '.join(named) or 'none'}"
        )
    return np.array([named[name] for name in source.names])


def _rotation(source: PoseSource, pose: Pose) -> np.ndarray:
    if source.turned_by == NO_ROTATION:
        return quaternion_to_axis_angle(pose.quaternion)
    return quaternion_to_axis_angle(quaternion_product(pose.quaternion, np.array(source.turned_by)))


def _of(said: Mapping, topic: str, group: StateGroup):
    if topic not in said:
        raise ValueError(f"state group {group.name!r} needs {topic}, which is not there")
    return said[topic]

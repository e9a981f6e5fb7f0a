"""The topics of one observation, as a robot contract lists them, and their messages as an Observation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from substep_core.contract import Joints, JointSource, Pose, PoseSource, Readings, RobotContract, state_vector
from substep_core.observation import Observation
from substep_core.ros.messages import image_from_message, to_nanoseconds
from substep_core.ros.scene_messages import pose_from_message, scene_from_message
from substep_core.ros.topics import EEF_POSE, JOINT_STATES, SCENE_STATE, Topic, camera_image

NORM_TOLERANCE = 1e-3  # of a quaternion


def observation_topics(contract: RobotContract, cameras: Sequence[str], needs_scene: bool) -> tuple[Topic, ...]:
    """Topics that one observation consists of."""
    scene = (SCENE_STATE,) if needs_scene else ()
    state = (*state_topics(contract, PoseSource), *state_topics(contract, JointSource))
    return (*(camera_image(camera) for camera in cameras), *state, *scene)


def state_topics(contract: RobotContract, kind: type[PoseSource] | type[JointSource]) -> tuple[Topic, ...]:
    """Topics of that kind that the contract's state comes from, each once."""
    like = JOINT_STATES if kind is JointSource else EEF_POSE
    names = dict.fromkeys(group.source.topic for group in contract.state if isinstance(group.source, kind))
    return tuple(replace(like, name=name) for name in names)


def observation_from_messages(
    contract: RobotContract, cameras: Sequence[str], messages: Mapping[str, Any]
) -> Observation:
    """Messages of one instant -> Observation.

    Args:
        messages: topic -> its message; with ``scene_state`` where the scene is wanted.

    Raises:
        ValueError: the messages do not carry one stamp, one is malformed, or a joint of the contract is missing.
    """
    stamp = _one_stamp(messages)
    images = {name: image_from_message(messages[camera_image(name).name], name) for name in cameras}
    scene = messages.get(SCENE_STATE.name)
    return Observation(
        images=images,
        proprio=state_vector(contract, readings_from_messages(messages)),
        stamp=stamp,
        scene=None if scene is None else scene_from_message(scene),
    )


def readings_from_messages(messages: Mapping[str, Any]) -> Readings:
    """Poses and joints among the messages, by topic. Raises: ValueError: one is malformed."""
    return Readings(
        poses={name: _pose(name, message) for name, message in messages.items() if isinstance(message, PoseStamped)},
        joints={name: _joints(name, message) for name, message in messages.items() if isinstance(message, JointState)},
    )


def _one_stamp(messages: Mapping[str, Any]) -> int:
    stamps = {name: to_nanoseconds(message.header.stamp) for name, message in messages.items()}
    first, stamp = next(iter(stamps.items()))
    for name, other in stamps.items():
        if other != stamp:
            raise ValueError(f"{name} has stamp {other} ns, but {first} has {stamp} ns: not one observation")
    return stamp


def _pose(name: str, message: PoseStamped) -> Pose:
    position, quaternion = pose_from_message(message.pose)
    norm = float((quaternion @ quaternion) ** 0.5)
    if not abs(norm - 1.0) < NORM_TOLERANCE:
        raise ValueError(f"{name} has a quaternion of norm {norm}, expected 1: {quaternion}")
    return Pose(position, quaternion)


def _joints(name: str, message: JointState) -> Joints:
    for field in ("position", "velocity"):
        values = getattr(message, field)
        if len(values) not in (len(message.name), 0 if field == "velocity" else len(message.name)):
            raise ValueError(f"{name} has {len(message.name)} names but {len(values)} values of {field}")
    velocity = dict(zip(message.name, message.velocity, strict=True)) if message.velocity else {}
    return Joints(dict(zip(message.name, message.position, strict=True)), velocity)

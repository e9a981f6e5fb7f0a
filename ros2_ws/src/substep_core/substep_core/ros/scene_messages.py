"""Ground truth of the simulated world as ROS messages, and back."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from substep_interfaces.msg import SceneJoint, SceneObject, SceneRegion, SceneState

from substep_core import scene as core

WORLD_FRAME = "world"


def pose_to_message(position: np.ndarray, quaternion: np.ndarray) -> Pose:
    """(3,) m and (4,) xyzw -> Pose."""
    x, y, z, w = (float(value) for value in quaternion)
    return Pose(position=_point(position), orientation=Quaternion(x=x, y=y, z=z, w=w))


def pose_from_message(pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Pose -> position (3,) m, quaternion (4,) xyzw."""
    rotation = pose.orientation
    return _array(pose.position), np.array([rotation.x, rotation.y, rotation.z, rotation.w])


def scene_to_message(scene: core.SceneState, stamp: Time) -> SceneState:
    message = SceneState(
        objects=[_object_to_message(item) for item in scene.objects.values()],
        joints=[_joint_to_message(item) for item in scene.joints.values()],
        regions=[_region_to_message(item) for item in scene.regions.values()],
        grasped=sorted(scene.grasped),
        predicates=list(scene.predicates),
        predicate_values=[bool(holds) for holds in scene.predicates.values()],
    )
    message.header.stamp = stamp
    message.header.frame_id = WORLD_FRAME
    return message


def scene_from_message(message: SceneState) -> core.SceneState:
    """Raises ValueError when predicates and their values differ in number."""
    if len(message.predicates) != len(message.predicate_values):
        raise ValueError(
            f"scene_state has {len(message.predicates)} predicates but {len(message.predicate_values)} values"
        )
    return core.SceneState(
        objects={item.name: _object_from_message(item) for item in message.objects},
        joints={item.name: _joint_from_message(item) for item in message.joints},
        regions={item.name: _region_from_message(item) for item in message.regions},
        grasped=frozenset(message.grasped),
        predicates=dict(zip(message.predicates, message.predicate_values, strict=True)),
    )


def _object_to_message(item: core.SceneObject) -> SceneObject:
    return SceneObject(
        name=item.name,
        category=item.category,
        movable=bool(item.movable),
        pose=pose_to_message(item.position, item.quaternion),
        lower=_vector(item.lower),
        upper=_vector(item.upper),
    )


def _object_from_message(message: SceneObject) -> core.SceneObject:
    position, quaternion = pose_from_message(message.pose)
    return core.SceneObject(
        message.name,
        message.category,
        message.movable,
        position,
        quaternion,
        _array(message.lower),
        _array(message.upper),
    )


def _joint_to_message(item: core.SceneJoint) -> SceneJoint:
    return SceneJoint(
        name=item.name,
        object=item.object,
        position=float(item.position),
        anchor=_point(item.anchor),
        axis=_vector(item.axis),
        body_pose=pose_to_message(item.body_position, item.body_quaternion),
        lower=_vector(item.lower),
        upper=_vector(item.upper),
    )


def _joint_from_message(message: SceneJoint) -> core.SceneJoint:
    position, quaternion = pose_from_message(message.body_pose)
    return core.SceneJoint(
        message.name,
        message.object,
        message.position,
        _array(message.anchor),
        _array(message.axis),
        position,
        quaternion,
        _array(message.lower),
        _array(message.upper),
    )


def _region_to_message(item: core.SceneRegion) -> SceneRegion:
    return SceneRegion(
        name=item.name,
        object=item.object,
        pose=pose_to_message(item.position, item.quaternion),
        half_size=_vector(item.half_size),
    )


def _region_from_message(message: SceneRegion) -> core.SceneRegion:
    position, quaternion = pose_from_message(message.pose)
    return core.SceneRegion(message.name, message.object, position, quaternion, _array(message.half_size))


def _point(values: np.ndarray) -> Point:
    x, y, z = (float(value) for value in values)
    return Point(x=x, y=y, z=z)


def _vector(values: np.ndarray) -> Vector3:
    x, y, z = (float(value) for value in values)
    return Vector3(x=x, y=y, z=z)


def _array(message: Point | Vector3) -> np.ndarray:
    return np.array([message.x, message.y, message.z])

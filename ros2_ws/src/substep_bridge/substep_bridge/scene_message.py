"""A reused SceneState message, filled in place at every control step.

Building its hundred parts anew in each step takes longer than all else that publishing an observation does.
"""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Vector3
from substep_interfaces.msg import SceneState as SceneMessage

from substep_core.ros.scene_messages import scene_to_message
from substep_core.scene import SceneState


class ReusedSceneMessage:
    """One world's ground truth: names, categories and sizes stay, poses, joint positions and predicates change."""

    def __init__(self, scene: SceneState) -> None:
        self._message = scene_to_message(scene, Time())

    def fill(self, scene: SceneState, stamp: Time) -> SceneMessage:
        """The same message each time, with what ``scene`` (of the same world) says now."""
        message = self._message
        message.header.stamp = stamp
        for target, item in zip(message.objects, scene.objects.values(), strict=True):
            _set_pose(target.pose, item.position, item.quaternion)
        for target, item in zip(message.regions, scene.regions.values(), strict=True):
            _set_pose(target.pose, item.position, item.quaternion)
        for target, item in zip(message.joints, scene.joints.values(), strict=True):
            target.position = item.position
            _set_vector(target.anchor, item.anchor)
            _set_vector(target.axis, item.axis)
            _set_pose(target.body_pose, item.body_position, item.body_quaternion)
        message.grasped = sorted(scene.grasped)
        message.predicate_values = list(scene.predicates.values())
        return message


def _set_pose(pose: Pose, position: np.ndarray, quaternion: np.ndarray) -> None:
    _set_vector(pose.position, position)
    rotation = pose.orientation
    rotation.x, rotation.y, rotation.z, rotation.w = quaternion.tolist()


def _set_vector(vector: Point | Vector3, values: np.ndarray) -> None:
    vector.x, vector.y, vector.z = values.tolist()

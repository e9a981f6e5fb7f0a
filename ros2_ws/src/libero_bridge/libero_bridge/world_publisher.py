"""Publishes one instant of the world: cameras, joints, end effector, clock and, in simulation, the ground truth."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from substep_interfaces.msg import EpisodeStatus
from substep_interfaces.msg import SceneState as SceneMessage

from libero_bridge.bridge_messages import camera_info, eef_pose, episode_status
from libero_bridge.scene_message import ReusedSceneMessage
from libero_bridge.simulation import Simulation
from substep_policy.messages import image_to_message, joint_state_to_message, optical_frame, to_time
from substep_policy.observation import Observation
from substep_policy.scene import SceneState

CLOCK_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class WorldPublisher:
    """Owns the publishers of a bridge's observation topics; all messages of one instant carry one stamp."""

    def __init__(self, node: LifecycleNode, cameras: tuple[str, ...]) -> None:
        self._node = node
        self._images = {name: self._sensor(Image, f"camera/{name}/image_raw") for name in cameras}
        self._infos = {name: self._sensor(CameraInfo, f"camera/{name}/camera_info") for name in cameras}
        self._joints = self._sensor(JointState, "joint_states")
        self._eef_pose = self._sensor(PoseStamped, "eef_pose")
        self._scene = self._sensor(SceneMessage, "scene_state")
        self._clock = node.create_lifecycle_publisher(Clock, "/clock", CLOCK_QOS)
        self._status = node.create_lifecycle_publisher(EpisodeStatus, "episode_status", LATCHED_QOS)
        self._last_status = EpisodeStatus()
        self._scene_of: tuple[Simulation, ReusedSceneMessage] | None = None

    def publish(self, observation: Observation, simulation: Simulation) -> None:
        """One instant, except the episode's status."""
        stamp = to_time(observation.stamp)
        self._clock.publish(Clock(clock=stamp))
        for name, image in observation.images.items():
            self._publish_image(name, image, simulation, stamp)
        joints = simulation.joint_positions()
        self._joints.publish(joint_state_to_message(list(joints), list(joints.values()), stamp))
        self._eef_pose.publish(eef_pose(*simulation.eef_pose(), stamp))
        if observation.scene is not None:
            self._scene.publish(self._scene_message(observation.scene, simulation).fill(observation.scene, stamp))

    def publish_status(self, episode: int, simulation: Simulation, hold_reason: str, stamp: int) -> None:
        """The episode's status, if it differs from the last one. stamp: ns of world time."""
        status = episode_status(episode, simulation, hold_reason, to_time(stamp))
        if status != self._last_status:
            self._last_status = status
            self._status.publish(status)

    def repeat_status(self) -> None:
        """The last status again."""
        self._status.publish(self._last_status)

    def destroy(self) -> None:
        singles = (self._joints, self._eef_pose, self._scene, self._clock, self._status)
        for publisher in (*self._images.values(), *self._infos.values(), *singles):
            self._node.destroy_lifecycle_publisher(publisher)

    def _publish_image(self, camera: str, image: np.ndarray, simulation: Simulation, stamp: Time) -> None:
        height, width, _ = image.shape
        frame = optical_frame(camera)
        self._images[camera].publish(image_to_message(image, stamp, frame))
        intrinsics = simulation.intrinsics(camera, height, width)
        self._infos[camera].publish(camera_info(intrinsics, height, width, frame, stamp))

    def _scene_message(self, scene: SceneState, simulation: Simulation) -> ReusedSceneMessage:
        if self._scene_of is None or self._scene_of[0] is not simulation:
            self._scene_of = simulation, ReusedSceneMessage(scene)
        return self._scene_of[1]

    def _sensor(self, message_type: type, topic: str):
        return self._node.create_lifecycle_publisher(message_type, topic, qos_profile_sensor_data)

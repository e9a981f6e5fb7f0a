"""Publishes one instant of the world: cameras, joints, poses, clock and, in simulation, the ground truth."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.lifecycle.publisher import LifecyclePublisher
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo
from substep_interfaces.msg import EpisodeStatus

from substep_bridge.frame_publisher import FramePublisher
from substep_bridge.image_demand import ImageDemand
from substep_bridge.messages import camera_info, episode_status, pose_stamped
from substep_bridge.scene_message import ReusedSceneMessage
from substep_bridge.world import Sensed, World
from substep_core.contract import JointSource, PoseSource, RobotContract
from substep_core.episode import EpisodeState
from substep_core.protocol import HoldKind, Reason
from substep_core.ros import topics
from substep_core.ros.lifecycle_node import GraphNode
from substep_core.ros.messages import image_to_message, joint_state_to_message, to_time
from substep_core.ros.observation_messages import state_topics
from substep_core.scene import SceneState


class WorldPublisher:
    """Owns the publishers of a bridge's observation topics; all messages of one instant carry one stamp.

    Attributes:
        published_at: when the last instant was published, in s of monotonic wall time.
    """

    def __init__(self, node: GraphNode, world: World) -> None:
        self._contract = world.contract
        cameras = self._contract.camera_names
        self._images = {name: node.advertise(topics.camera_image(name)) for name in cameras}
        self._infos = {name: node.advertise(topics.camera_info(name)) for name in cameras}
        self._poses = _publishers(node, self._contract, PoseSource)
        self._joints = _publishers(node, self._contract, JointSource)
        self._demand = ImageDemand(node, self._images)
        self._shown: tuple[Sensed | None, frozenset[str]] = None, frozenset()  # the newest instant, and cameras of it
        self._frames = FramePublisher(node)
        self._scene = node.advertise(topics.SCENE_STATE)
        self._clock = node.advertise(topics.CLOCK) if world.simulated else None
        self._status = node.advertise(topics.EPISODE_STATUS)
        self._last_status = EpisodeStatus()
        self.published_at = 0.0
        self._scene_of: tuple[World, str, ReusedSceneMessage] | None = None
        self._info_of: dict[str, CameraInfo] = {}

    def begin(self, sensed: Sensed, world: World) -> None:
        """The first instant of an episode."""
        self._frames.begin(world, to_time(sensed.stamp))
        self.publish(sensed, world)

    def publish(self, sensed: Sensed, world: World, on_demand: bool = False) -> None:
        """One instant, except the episode's status.

        Args:
            on_demand: of the cameras only those of which somebody wants all images.
        """
        self.published_at = time.monotonic()
        stamp = to_time(sensed.stamp)
        if self._clock is not None:
            self._clock.publish(Clock(clock=stamp))
        cameras = frozenset(sensed.images)
        self._publish_images(cameras & self._demand.cameras() if on_demand else cameras, sensed, world)
        for topic, publisher in self._joints.items():
            publisher.publish(joint_state_to_message(sensed.readings.joints[topic], stamp))
        for topic, publisher in self._poses.items():
            publisher.publish(pose_stamped(sensed.readings.poses[topic], self._contract.base_frame, stamp))
        self._frames.publish(world, stamp)
        if sensed.scene is not None:
            self._scene.publish(self._scene_message(sensed.scene, world).fill(sensed.scene, stamp))

    def complete(self, sensed: Sensed, world: World) -> None:
        """The images of the newest instant that were not published with it."""
        of, cameras = self._shown
        self._publish_images(frozenset(sensed.images) - (cameras if of is sensed else frozenset()), sensed, world)

    def publish_status(
        self, number: int, episode: EpisodeState, is_over: bool, hold: Reason[HoldKind], stamp: int
    ) -> None:
        """The episode's status, if it differs from the last one. number: counts resets; stamp: ns of world time."""
        status = episode_status(number, episode, is_over, hold, to_time(stamp))
        if status != self._last_status:
            self._last_status = status
            self._status.publish(status)

    def repeat_status(self) -> None:
        """The last status again."""
        self._status.publish(self._last_status)

    def _publish_images(self, cameras: frozenset[str], sensed: Sensed, world: World) -> None:
        of, shown = self._shown
        self._shown = sensed, cameras | shown if of is sensed else cameras
        for name in sensed.images:
            if name in cameras:
                self._publish_image(name, sensed.images[name], world, to_time(sensed.stamp))

    def _publish_image(self, camera: str, image: np.ndarray, world: World, stamp: Time) -> None:
        frame = self._contract.camera(camera).frame
        self._images[camera].publish(image_to_message(image, stamp, frame))
        if camera not in self._info_of:
            self._info_of[camera] = camera_info(world.intrinsics(camera), *image.shape[:2], frame, stamp)
        info = self._info_of[camera]
        info.header.stamp = stamp
        self._infos[camera].publish(info)

    def _scene_message(self, scene: SceneState, world: World) -> ReusedSceneMessage:
        task = f"{world.episode.suite} {world.episode.task_index}"
        if self._scene_of is None or self._scene_of[:2] != (world, task):
            self._scene_of = world, task, ReusedSceneMessage(scene)
        return self._scene_of[2]


def _publishers(node: GraphNode, contract: RobotContract, kind: type) -> Mapping[str, LifecyclePublisher]:
    """Topic of this kind of state source -> its publisher."""
    return {topic.name: node.advertise(topic) for topic in state_topics(contract, kind)}

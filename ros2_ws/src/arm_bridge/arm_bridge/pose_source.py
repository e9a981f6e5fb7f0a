"""Where the end effector's pose comes from: a topic, or tf2 where ROS provides it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from arm_bridge.driver_topics import KEPT, DriverTopics
from arm_bridge.intake import FUTURE, SensorSample
from arm_bridge.sensors import PoseReader
from arm_bridge.settings import PoseInput
from substep_core.ros.messages import to_nanoseconds

LOOKS = 2  # at tf2, in a control period

Hear = Callable[[Callable[[Any], SensorSample], Any], None]


def listen_to_pose(
    node: Node, drivers: DriverTopics, settings: PoseInput, base_frame: str, rate: float, hear: Hear
) -> None:
    """Hand every pose on.

    Raises:
        ValueError: tf2 is wanted, and is not installed.
    """
    reader = PoseReader(settings, base_frame)
    if settings.topic:
        drivers.listen(PoseStamped, settings.topic, lambda message: hear(reader.sample, message))
        return
    try:
        import tf2_ros
    except ImportError as error:
        raise ValueError(
            f"the pose of {settings.child} comes from tf2, and tf2_ros is not installed here: install it, or name a "
            "topic of geometry_msgs/PoseStamped"
        ) from error
    buffer = tf2_ros.Buffer()
    node.pose_listener = tf2_ros.TransformListener(buffer, node)  # it lives as long as the node
    drivers.mind(TFMessage, "/tf", QoSProfile(depth=1))  # as the listener asks for them
    drivers.mind(TFMessage, "/tf_static", KEPT)
    frame = settings.frame or base_frame

    def look() -> None:
        try:
            found = buffer.lookup_transform(frame, settings.child, Time())
        except tf2_ros.TransformException:
            return  # nothing has come yet, or no more: the intake says so
        pose = _pose(found)
        hear(reader.sample, pose)
        if to_nanoseconds(pose.header.stamp) > time.time_ns() + FUTURE * 1e9:
            buffer.clear()  # the clock was set back: what comes by the new time would count as old

    # a timer of the node's own clock would stand still until that is where it was before it was set back
    node.create_timer(1 / (LOOKS * rate), look, clock=Clock(clock_type=ClockType.STEADY_TIME))


def _pose(found: Any) -> PoseStamped:
    """geometry_msgs/TransformStamped -> the same as a pose."""
    message = PoseStamped(header=found.header)
    place, turn = found.transform.translation, found.transform.rotation
    message.pose.position.x, message.pose.position.y, message.pose.position.z = place.x, place.y, place.z
    message.pose.orientation = turn
    return message

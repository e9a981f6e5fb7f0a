"""Conversions between the driver's core types and ROS's standard messages."""

from __future__ import annotations

import array

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped, Vector3
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage

from substep_core.ros.messages import to_nanoseconds
from substep_core.units import NANOSECONDS
from substep_standin.joint_trajectory import JointTrajectory, Point
from substep_standin.plant import PlantState
from substep_standin.servo import Twist
from substep_standin.settings import DRIVER_JOINTS


def joint_state(state: PlantState, stamp: Time) -> JointState:
    named = [[values[name] for name in DRIVER_JOINTS] for values in (state.position, state.velocity, state.effort)]
    header = Header(stamp=stamp, frame_id="panda_link0")
    return JointState(header=header, name=DRIVER_JOINTS, position=named[0], velocity=named[1], effort=named[2])


def twist_stamped(twist: np.ndarray, frame: str, stamp: Time) -> TwistStamped:
    """twist: (6,) m/s, rad/s."""
    message = TwistStamped(header=Header(stamp=stamp, frame_id=frame))
    message.twist.linear, message.twist.angular = (_vector(part) for part in (twist[:3], twist[3:]))
    return message


def twist_from_message(message: TwistStamped) -> Twist:
    linear, angular = message.twist.linear, message.twist.angular
    return Twist(
        to_nanoseconds(message.header.stamp),
        message.header.frame_id,
        *(np.array([part.x, part.y, part.z]) for part in (linear, angular)),
    )


def trajectory_from_message(message: JointTrajectoryMessage) -> JointTrajectory:
    points = [
        Point(
            item.time_from_start.sec * NANOSECONDS + item.time_from_start.nanosec,
            tuple(item.positions),
            tuple(item.velocities),
        )
        for item in message.points
    ]
    return JointTrajectory(to_nanoseconds(message.header.stamp), tuple(message.joint_names), tuple(points))


def finger_goals(message: JointTrajectoryMessage) -> dict[str, float]:
    """Joint -> where the last point wants it, m; empty: it has no point, or not one value for each joint."""
    if not message.points or len(message.points[-1].positions) != len(message.joint_names):
        return {}
    return dict(zip(message.joint_names, message.points[-1].positions, strict=True))


def image(picture: np.ndarray, encoding: str, frame: str, stamp: Time) -> Image:
    """picture: (H, W, 3) uint8 RGB; encoding: one of ``parameters.ENCODINGS``."""
    channels = picture[..., ::-1] if encoding.startswith("bgr") else picture
    if encoding.endswith("a8"):
        channels = np.concatenate([channels, np.full_like(channels[..., :1], 255)], axis=-1)
    height, width, depth = channels.shape
    message = Image(header=Header(stamp=stamp, frame_id=frame), height=height, width=width, encoding=encoding)
    message.step = width * depth
    message.data = array.array("B", np.ascontiguousarray(channels).tobytes())
    return message


def _vector(values: np.ndarray) -> Vector3:
    x, y, z = map(float, values)
    return Vector3(x=x, y=y, z=z)

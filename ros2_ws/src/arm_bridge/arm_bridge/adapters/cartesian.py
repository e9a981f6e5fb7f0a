"""The end effector's velocity, and its pose."""

from __future__ import annotations

from typing import Annotated, Literal

from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Twist, TwistStamped, Vector3
from pydantic import Field
from std_msgs.msg import Header

from arm_bridge.adapters import EveryStepOnATopic
from arm_bridge.command import ArmCommand, Space
from substep_core.configuration import configuration
from substep_core.ros.messages import to_time
from substep_core.ros_names import OptionalFrameName, TopicName


@configuration
class CartesianRate(EveryStepOnATopic):
    """geometry_msgs/TwistStamped in m/s and rad/s, as MoveIt Servo takes it with ``speed_units``.

    Attributes:
        frame: of the message's header; empty: the contract's base frame.
    """

    topic: TopicName
    frame: OptionalFrameName = ""
    type: Literal["cartesian_rate"] = "cartesian_rate"

    @property
    def space(self) -> Space:
        return Space.CARTESIAN

    @property
    def leash(self) -> float | None:
        return None

    def message_type(self) -> type:
        return TwistStamped

    def message(self, command: ArmCommand) -> TwistStamped:
        header = Header(stamp=to_time(command.stamp), frame_id=self.frame or command.frame)
        linear, angular = command.velocity[:3].tolist(), command.velocity[3:].tolist()
        twist = Twist(linear=Vector3(**dict(zip("xyz", linear, strict=True))))
        twist.angular = Vector3(**dict(zip("xyz", angular, strict=True)))
        return TwistStamped(header=header, twist=twist)


@configuration
class CartesianPose(EveryStepOnATopic):
    """geometry_msgs/PoseStamped: where the end effector is to be at the end of the control step.

    Attributes:
        frame: of the message's header; empty: the contract's base frame.
        leash: m that the target may be ahead of the measured position; leash_angle: rad, of the measured rotation.
    """

    topic: TopicName
    frame: OptionalFrameName = ""
    leash: Annotated[float, Field(gt=0)] = 0.05
    leash_angle: Annotated[float, Field(gt=0)] = 0.3
    type: Literal["cartesian_pose"] = "cartesian_pose"

    @property
    def space(self) -> Space:
        return Space.CARTESIAN

    def message_type(self) -> type:
        return PoseStamped

    def message(self, command: ArmCommand) -> PoseStamped:
        header = Header(stamp=to_time(command.stamp), frame_id=self.frame or command.frame)
        x, y, z = command.position[:3].tolist()
        qx, qy, qz, qw = command.quaternion.tolist()
        pose = Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))
        return PoseStamped(header=header, pose=pose)

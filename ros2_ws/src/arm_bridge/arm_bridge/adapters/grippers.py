"""Grippers: a trajectory of the fingers' joints, and the two actions of control_msgs, where ROS provides them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from arm_bridge.adapters import message_class
from substep_core.configuration import configuration
from substep_core.ros.messages import to_duration
from substep_core.ros_names import TopicName


@configuration
class FingerTrajectory:
    """trajectory_msgs/JointTrajectory of the fingers, each to ``weight`` times the position.

    Attributes:
        joints: names; weights: of each, 1 where none are given.
        duration: s for the way.
    """

    topic: TopicName
    joints: Annotated[tuple[str, ...], Field(min_length=1)]
    opened: float
    closed: float
    weights: tuple[float, ...] = ()
    duration: Annotated[float, Field(gt=0)] = 0.5
    type: Literal["finger_trajectory"] = "finger_trajectory"

    def __post_init__(self) -> None:
        if self.weights and len(self.weights) != len(self.joints):
            raise ValueError(f"weights has {len(self.weights)} values for {len(self.joints)} joints")

    @property
    def is_action(self) -> bool:
        return False

    def message_type(self) -> type:
        return JointTrajectory

    def message(self, position: float) -> JointTrajectory:
        weights = self.weights or (1.0,) * len(self.joints)
        positions = [position * weight for weight in weights]
        point = JointTrajectoryPoint(positions=positions, time_from_start=to_duration(self.duration))
        return JointTrajectory(joint_names=list(self.joints), points=[point])


@configuration
class _GripperAction:
    """A gripper that an action of control_msgs moves."""

    action: ClassVar[str]  # its name in control_msgs
    topic: TopicName
    opened: float
    closed: float

    @property
    def is_action(self) -> bool:
        return True

    def message_type(self) -> type:
        return message_class(f"control_msgs/action/{self.action}", f"gripper type {self.type}")


@configuration
class ParallelGripper(_GripperAction):
    """control_msgs/action/ParallelGripperCommand.

    Attributes:
        joint: that the action's JointState names.
        effort: N or Nm; 0: the driver's own.
    """

    action = "ParallelGripperCommand"
    joint: str
    effort: Annotated[float, Field(ge=0)] = 0.0
    type: Literal["parallel_gripper"] = "parallel_gripper"

    def message(self, position: float) -> Any:
        effort = [self.effort] if self.effort else []
        command = JointState(name=[self.joint], position=[position], effort=effort)
        return self.message_type().Goal(command=command)


@configuration
class WidthGripper(_GripperAction):
    """control_msgs/action/GripperCommand, whose position is the gap between the fingers in m.

    Attributes:
        max_effort: N; 0: the driver's own.
    """

    action = "GripperCommand"
    max_effort: Annotated[float, Field(ge=0)] = 0.0
    type: Literal["gripper_command"] = "gripper_command"

    def message(self, position: float) -> Any:
        goal = self.message_type().Goal()
        goal.command.position, goal.command.max_effort = position, self.max_effort
        return goal

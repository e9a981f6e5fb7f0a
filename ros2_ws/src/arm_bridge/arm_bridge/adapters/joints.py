"""Joint trajectories for a joint_trajectory_controller, and joint velocities for a velocity controller."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from std_msgs.msg import Float64MultiArray, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from arm_bridge.adapters import EveryStepOnATopic, message_class
from arm_bridge.command import ArmCommand, Space
from substep_core.configuration import configuration
from substep_core.ros.messages import to_duration, to_time
from substep_core.ros_names import TopicName


@configuration
class JointTrajectoryTopic(EveryStepOnATopic):
    """trajectory_msgs/JointTrajectory: the control step and the stop after it, so that it always ends in rest.

    The controller replaces it by the next one. If none comes, the arm has come to rest by itself; with a
    ``joint_trajectory_controller`` that is also why the last velocity must be zero.

    Attributes:
        leash: rad or m that a joint's target may be ahead of its measured position.
        stamped: the header says when the trajectory begins; else 0, which means at once.
    """

    topic: TopicName
    leash: Annotated[float, Field(gt=0)] = 0.2
    stamped: bool = True
    type: Literal["joint_trajectory"] = "joint_trajectory"

    @property
    def space(self) -> Space:
        return Space.JOINTS

    @property
    def _lead_ns(self) -> int:
        """ns by which the header's stamp is later than the control step."""
        return 0

    def message_type(self) -> type:
        return JointTrajectory

    def message(self, command: ArmCommand) -> JointTrajectory:
        stamp = command.stamp + self._lead_ns if self.stamped else 0
        message = JointTrajectory(header=Header(stamp=to_time(stamp)), joint_names=list(command.joints))
        times = (np.arange(len(command.velocities)) + 1) * command.period
        message.points = [
            JointTrajectoryPoint(
                positions=place.tolist(), velocities=velocity.tolist(), time_from_start=to_duration(float(time))
            )
            for place, velocity, time in zip(command.positions[1:], _at_points(command), times, strict=True)
        ]
        return message


@configuration
class JointTrajectoryChunks(JointTrajectoryTopic):
    """trajectory_msgs/JointTrajectory: all that is queued, a point a control step, and the stop after it.

    It is put once a chunk, and again where something else follows than was put: a newer chunk, a hold, a joint that
    does not keep up. Unless something newer is put the arm plays it to its end and stands, also where the bridge has
    died.

    Attributes:
        ahead: s of what is queued that is put at a time, the rest when its turn comes: how long an arm goes on at most
            that nobody tells anything more, its stop not counted.
        lead: s that a stamped trajectory begins after it is put, so that one whose way to the controller takes as long
            does not find its first point about to pass; the arm is that much later.
    """

    ahead: Annotated[float, Field(gt=0, le=10)] = 1.0
    lead: Annotated[float, Field(ge=0, le=1)] = 0.05
    type: Literal["joint_trajectory_chunks"] = "joint_trajectory_chunks"

    @property
    def _lead_ns(self) -> int:
        return round(self.lead * 1e9)


@configuration
class JointTrajectoryGoals(JointTrajectoryChunks):
    """The same as goals of control_msgs/action/FollowJointTrajectory, which a controller can refuse.

    A goal that is refused, aborted or cancelled while it is the newest is a fault. ``topic``: the name of the action.
    """

    type: Literal["follow_joint_trajectory"] = "follow_joint_trajectory"

    def action_type(self) -> type:
        return message_class("control_msgs/action/FollowJointTrajectory", f"arm type {self.type}")

    def goal(self, message: JointTrajectory) -> Any:
        return self.action_type().Goal(trajectory=message)


@configuration
class JointVelocity(EveryStepOnATopic):
    """std_msgs/Float64MultiArray of rad/s or m/s, in the contract's order, for a velocity controller."""

    topic: TopicName
    type: Literal["joint_velocity"] = "joint_velocity"

    @property
    def space(self) -> Space:
        return Space.JOINTS

    @property
    def leash(self) -> float | None:
        return None

    def message_type(self) -> type:
        return Float64MultiArray

    def message(self, command: ArmCommand) -> Float64MultiArray:
        return Float64MultiArray(data=command.velocity.tolist())


def _at_points(command: ArmCommand) -> np.ndarray:
    """(N, W) velocities where two control steps meet: the mean of both, so that a cubic spline runs through them."""
    between = np.zeros_like(command.velocities)
    between[:-1] = (command.velocities[:-1] + command.velocities[1:]) / 2
    return between

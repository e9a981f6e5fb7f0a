"""What grippers' drivers are told: a trajectory of two fingers, and the goals of both actions of control_msgs.

Where control_msgs is not installed, its goals are stood in for by objects that take any field: names of fields are
those of the adapters, and whether control_msgs has them is not seen.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from arm_bridge.adapters import grippers
from arm_bridge.adapters.grippers import FingerTrajectory, ParallelGripper, WidthGripper


@pytest.fixture
def control_msgs(monkeypatch) -> list[str]:
    """Names of the actions that were asked for."""
    asked: list[str] = []

    def message_class(name: str, why: str) -> SimpleNamespace:
        asked.append(name)
        return SimpleNamespace(Goal=lambda command=None: SimpleNamespace(command=command or SimpleNamespace()))

    monkeypatch.setattr(grippers, "message_class", message_class)
    return asked


def test_two_fingers_are_told_by_one_trajectory_each_by_its_weight():
    gripper = FingerTrajectory(topic="g", joints=("left", "right"), opened=0.04, closed=0.0, weights=(1.0, -1.0))
    message = gripper.message(0.03)
    (point,) = message.points
    assert message.joint_names == ["left", "right"] and list(point.positions) == [0.03, -0.03]
    assert (point.time_from_start.sec, point.time_from_start.nanosec) == (0, 500_000_000)
    with pytest.raises(ValueError, match="weights has 1 values for 2 joints"):
        FingerTrajectory(topic="g", joints=("left", "right"), opened=0.04, closed=0.0, weights=(1.0,))


@pytest.mark.parametrize(("effort", "said"), [(0.0, []), (20.0, [20.0])])
def test_a_parallel_gripper_is_told_by_the_state_of_its_joint(control_msgs, effort, said):
    gripper = ParallelGripper(topic="g", opened=0.0, closed=0.8, joint="knuckle", effort=effort)
    command = gripper.message(0.4).command
    assert (command.name, list(command.position), list(command.effort)) == (["knuckle"], [0.4], said)
    assert control_msgs == ["control_msgs/action/ParallelGripperCommand"] and gripper.is_action


def test_the_older_gripper_command_says_the_gap_and_the_effort(control_msgs):
    command = WidthGripper(topic="g", opened=0.08, closed=0.0, max_effort=15.0).message(0.05).command
    assert (command.position, command.max_effort) == (0.05, 15.0)
    assert control_msgs == ["control_msgs/action/GripperCommand"]

"""The chunk being played: order, what is left, and what the arm does when there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from substep_bridge.action_queue import ActionQueue
from substep_bridge.chunk_player import ChunkPlayer
from substep_bridge.guard import GuardSettings, SafetyGuard
from substep_bridge.moment import RobotMoment
from substep_core.contract import (
    ActionGroup,
    ActionQuantity,
    Hold,
    JointSource,
    StateGroup,
    StateQuantity,
    load_robot,
)
from substep_core.protocol import HoldKind, Reason

ROBOT = load_robot("libero_panda")
PROPRIO = np.zeros(ROBOT.state_width, np.float32)


def numbered(count: int, gripper: float = 1.0) -> np.ndarray:
    actions = np.zeros((count, 7), np.float32)
    actions[:, 0] = np.arange(count) / 100
    actions[:, 6] = gripper
    return actions


@given(st.integers(1, 20), st.integers(0, 25))
def test_actions_come_in_order_then_the_arm_holds(count, taken):
    queue = ActionQueue(ROBOT)
    queue.load(numbered(count))
    for step in range(taken):
        action = queue.next_action(PROPRIO)
        assert action[0] == np.float32((step if step < count else 0) / 100)
    assert len(queue) == max(count - taken, 0)
    assert queue.steps_played == min(taken, count)


def test_holding_means_no_motion_and_the_gripper_as_it_was():
    queue = ActionQueue(ROBOT)
    assert queue.next_action(PROPRIO).tolist() == [0, 0, 0, 0, 0, 0, -1]
    queue.load(numbered(1, gripper=1.0))
    queue.next_action(PROPRIO)
    assert queue.next_action(PROPRIO).tolist() == [0, 0, 0, 0, 0, 0, 1]


def test_what_is_expected_is_what_is_left_and_while_the_arm_holds_the_hold():
    queue = ActionQueue(ROBOT)
    queue.load(numbered(3))
    queue.next_action(PROPRIO)
    assert queue.expected[:, 0] == pytest.approx([0.01, 0.02])
    for _ in range(2):
        queue.next_action(PROPRIO)
    assert not len(queue.expected), "the last one is not known to come again"
    held = queue.next_action(PROPRIO)
    assert len(queue.expected) == ROBOT.max_horizon and (queue.expected == held).all()


def test_what_is_dropped_is_not_played():
    queue = ActionQueue(ROBOT)
    queue.load(numbered(5))
    queue.next_action(PROPRIO)
    queue.next_action(PROPRIO)
    queue.drop()
    assert len(queue) == 0 and queue.played == pytest.approx(numbered(5)[:2])
    assert not queue.next_action(PROPRIO)[:6].any()


def test_a_chunk_does_not_silently_replace_another():
    queue = ActionQueue(ROBOT)
    queue.load(numbered(2))
    with pytest.raises(RuntimeError, match="2 actions are still queued"):
        queue.load(numbered(1))


def test_a_group_that_holds_what_is_measured_stays_where_the_hold_began():
    joints = StateGroup("arm", StateQuantity.JOINT_POSITION, "rad", JointSource(("j1", "j2")))
    held = ActionGroup(
        "arm",
        ActionQuantity.JOINT_POSITION,
        2,
        "rad",
        scale=0.05,
        hold=Hold.MEASURED,
        measured_by="arm",
        joints=("j1", "j2"),
    )
    queue = ActionQueue(replace(ROBOT, state=(joints,), action=(held,), workspace=None))
    first, later = np.full(2, 0.02, np.float32), np.full(2, 0.03, np.float32)
    assert queue.next_action(first) == pytest.approx(0.02 / held.scale)
    assert queue.next_action(later) == pytest.approx(0.02 / held.scale), "it must not drift with the robot"
    queue.load(np.zeros((1, 2), np.float32))
    queue.next_action(later)
    assert queue.next_action(later) == pytest.approx(0.03 / held.scale)


def test_a_robot_that_others_may_have_moved_is_to_stay_where_it_is_then():
    robot = load_robot("so101")
    places = [np.full(robot.state_width, place, np.float32) for place in (0.1, 0.5, 0.7)]
    moments = [RobotMoment(0, place, None, {limit.name: 0.0 for limit in robot.joint_limits}) for place in places]
    player = ChunkPlayer(robot, SafetyGuard(robot, GuardSettings(max_age=1.0)))
    player.reset(1, moments[0])
    joints = robot.action_slice(robot.action[0])

    def told(moment: RobotMoment) -> float:
        action = player.next_action()
        player.after_step(moment)
        return float(action[joints][0])

    assert told(moments[0]) == pytest.approx(0.1)
    assert told(moments[1]) == pytest.approx(0.1), "that it gives way is not followed"
    player.hinder(Reason(HoldKind.ROBOT_DISABLED))
    assert told(moments[2]) == pytest.approx(0.5)
    player.hinder(Reason(HoldKind.NONE))
    assert told(moments[2]) == pytest.approx(0.7) and told(moments[0]) == pytest.approx(0.7)

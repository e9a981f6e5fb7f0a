"""Safety states: what is sent in which, and what leads from one to another."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from substep_interfaces.msg import RobotState

from arm_bridge.arm import ARM
from arm_bridge.bench import ADAPTERS, STATUS, UPRIGHT, Rig, Watch
from arm_bridge.intake import SensorSample
from arm_bridge.report import robot_state
from arm_bridge.settings import DescriptionInput
from arm_bridge.status import StatusWatch
from arm_bridge.world import ArmWorld
from substep_bridge.node import BridgeNode
from substep_core.contract import Joints, Pose, SingularityLimits
from substep_core.episode import EpisodeStart, EpisodeState
from substep_core.errors import ErrorCode
from substep_core.protocol import HoldKind
from substep_core.ros.messages import to_time
from substep_core.rotation import axis_angle_to_quaternion, conjugate, quaternion_product

FORWARD = np.array([0.5, 0, 0, 0, 0, 0, -1.0])
CLOSE = np.array([0, 0, 0, 0, 0, 0, 1.0])


@pytest.fixture
def rig() -> Rig:
    return Rig(*ADAPTERS["cartesian_rate"]())


def speeds(outgoing) -> list[float]:
    return [each.message.twist.linear.x for each in outgoing if each.channel == ARM]


def hold(rig: Rig, seconds: float) -> list:
    return [each for _ in range(round(seconds * rig.contract.rate)) for each in rig.step(FORWARD)]


def test_nothing_leaves_before_it_is_armed_and_in_shadow_it_is_only_shown(rig):
    assert rig.state == "disabled" and not rig.step(FORWARD)
    assert rig.arm.hindrance.kind is HoldKind.ROBOT_DISABLED and rig.arm.safety.code is ErrorCode.ROBOT_DISABLED
    assert "expected shadow" in rig.arm.arm()
    assert rig.arm.shadow() == "" and not rig.arm.hindrance
    shown = rig.step(FORWARD)
    assert shown and all(outgoing.is_shadow for outgoing in shown) and speeds(shown)[0] > 0.1
    assert rig.arm.arm() == ""
    sent = rig.step(FORWARD)
    assert speeds(sent)[0] > 0.1 and not any(outgoing.is_shadow for outgoing in sent)
    assert {outgoing.channel for outgoing in sent} == {ARM, 0}, "the gripper is told anew when it is armed"
    assert [(t.before.words, t.after.words) for t in rig.transitions] == [("disabled", "shadow"), ("shadow", "armed")]


def test_a_sensor_that_falls_silent_in_shadow_is_told_in_fields(rig):
    rig.speak()
    assert rig.arm.shadow() == ""
    told = len(rig.transitions)
    rig.pass_time(1.0)
    rig.arm.watch()
    rig.arm.watch()
    (transition,) = rig.transitions[told:]
    message = robot_state(rig.arm.safety, transition, to_time(rig.now))
    assert message.state == RobotState.SHADOW and message.hold_kind == HoldKind.OBSERVATION_LOST
    assert message.error_code == ErrorCode.OBSERVATION_LOST and "1.00 s old" in message.text
    rig.speak()
    rig.arm.watch()
    assert robot_state(rig.arm.safety, rig.transitions[-1], to_time(rig.now)).hold_kind == HoldKind.NONE


def test_a_gripper_is_told_what_has_changed_and_nothing_else(rig):
    rig.ready()
    rig.step(FORWARD)
    assert [each.channel for each in rig.step(FORWARD)] == [ARM]
    told = [each.message for each in rig.step(CLOSE) if each.channel == 0]
    assert told[0].points[0].positions[0] == 0.0


def test_disarmed_in_motion_it_is_braked_and_then_nothing_leaves(rig):
    rig.ready()
    hold(rig, 0.5)
    assert rig.arm.disarm() == "" and rig.state == "disabled"
    braking = speeds(hold(rig, 1.0))
    assert 1 <= len(braking) <= 3 and braking[-1] == 0.0
    assert not rig.step(FORWARD)


def test_a_reset_of_the_episode_while_it_is_armed_and_moves_brakes_the_arm_itself(rig):
    rig.ready()
    hold(rig, 0.5)
    rig.sent.clear()
    while not rig.arm.is_at_rest:
        rig.pass_time(1 / rig.contract.rate)
        rig.speak()
        rig.arm.stop()
    assert rig.sent and not any(outgoing.is_shadow for outgoing in rig.sent) and speeds(rig.sent)[-1] == 0.0


def test_shadow_is_refused_until_the_arm_stands(rig):
    rig.ready()
    hold(rig, 0.5)
    assert rig.arm.shadow() == "the robot is in state armed: disarm it first" and rig.state == "armed"
    rig.arm.disarm()
    assert "ask again when it stands" in rig.arm.shadow() and rig.state == "disabled"
    assert speeds(hold(rig, 1.0))[-1] == 0.0 and rig.arm.shadow() == ""


def test_a_sensor_that_falls_silent_makes_it_hold_until_it_speaks_for_a_while(rig):
    rig.ready()
    hold(rig, 0.5)
    rig.pass_time(0.3)
    rig.arm.step(FORWARD)
    assert rig.state == "holding" and rig.arm.safety.code is ErrorCode.OBSERVATION_LOST
    assert rig.arm.hindrance.text == "observation lost: joint_states: 0.30 s old, expected at most 0.15 s"
    assert set(speeds(hold(rig, 0.2))) == {0.0} and rig.state == "holding"
    hold(rig, 0.2)
    assert rig.state == "armed" and speeds(rig.step(FORWARD))[0] > 0


def test_a_bridge_that_gives_no_commands_is_stopped_for_within_two_periods(rig):
    rig.ready()
    hold(rig, 0.5)
    begun = len(rig.sent)
    for _ in range(12):
        rig.pass_time(0.0125)
        rig.speak()
        rig.arm.watch()
    assert rig.state == "holding" and "no control step for 0.1" in rig.transitions[-1].cause
    assert speeds(rig.sent[begun:])[-1] == 0.0


def test_a_fault_latches_until_its_cause_is_gone_and_it_is_reset(rig):
    rig.ready()
    hold(rig, 0.5)
    rig.arm.hear_status(0, 4)
    assert rig.state == "fault" and rig.arm.safety.code is ErrorCode.ROBOT_FAULT
    assert rig.arm.hindrance.text == "robot fault: status says 4: protective stop"
    assert speeds(hold(rig, 0.5))[-1] == 0.0 and not rig.step(FORWARD)
    assert "still there" in rig.arm.reset() and "reset it first" in rig.arm.shadow()
    rig.arm.hear_status(0, 0)
    assert rig.state == "fault", "until somebody resets it"
    assert rig.arm.reset() == "" and rig.state == "disabled"


def test_what_was_said_about_a_command_before_the_reset_does_not_count_though_it_is_repeated():
    status = StatusWatch(replace(STATUS, of_commands=True))
    status.hear(4, 0.0)
    assert status.trouble(0.0).kind is HoldKind.ROBOT_FAULT
    status.forget()
    status.hear(4, 0.1)
    assert not status.trouble(9.0)
    status.hear(0, 0.2)
    status.hear(4, 0.3)
    assert status.trouble(0.3).kind is HoldKind.ROBOT_FAULT, "another command was refused"


def test_a_second_command_that_is_refused_like_the_first_is_a_fault_again():
    status = StatusWatch(replace(STATUS, of_commands=True))
    status.hear(4, 0.0)
    status.forget()
    status.commanded()
    status.hear(4, 1.0)
    assert not status.trouble(1.1), "it may be about the command before"
    assert status.trouble(1.5).kind is HoldKind.ROBOT_FAULT
    status.hear(0, 1.6)
    assert not status.trouble(2.0)


def test_a_fault_that_a_driver_says_once_outlives_a_reset_while_it_lasts(rig):
    rig.ready()
    rig.arm.hear_status(0, 4)
    rig.arm.forget_faults()
    assert "still there" in rig.arm.reset() and rig.state == "fault"
    rig.arm.hear_status(0, 0)
    assert rig.arm.reset() == ""


def test_a_driver_that_must_be_ready_and_has_said_nothing_halts_the_robot():
    status = StatusWatch(replace(STATUS, ready=(7,)))
    assert status.trouble(0.0).text == "robot halted: status: nothing heard, expected one of (7,)"
    status.hear(7, 0.1)
    assert not status.trouble(0.1)


def test_a_status_that_is_no_number_is_a_fault(rig):
    rig.ready()
    rig.arm.hear_status(0, np.nan)
    assert rig.state == "fault" and "status says nan" in rig.transitions[-1].cause


def test_a_message_that_lacks_joints_of_the_contract_is_waited_with_and_the_arm_goes_on():
    rig = Rig(*ADAPTERS["joint_velocity"]()).ready()
    rig.step([0.1, 0.1, 0.1, -1.0])
    rig.now += 1
    rig.arm.hear("joint_states", SensorSample(rig.now, 1, Joints({"f": 0.0})))
    rig.sent.clear()
    rig.arm.step(np.array([0.1, 0.1, 0.1, -1.0]))
    sent = rig.sent
    assert sent and rig.state == "armed"
    joints = rig.arm.intake.inputs["joint_states"]
    assert not joints.dropped["malformed"]
    assert "joint j1 has not been said" in joints.trouble(rig.now + 1_000_000_000)


def test_a_driver_that_halts_is_waited_for(rig):
    rig.ready()
    rig.step(FORWARD)
    rig.arm.hear_status(0, 1)
    rig.step(FORWARD)
    assert rig.state == "holding" and rig.arm.hindrance.text == "robot halted: status says 1: slow"
    rig.arm.hear_status(0, 0)
    hold(rig, 0.5)
    assert rig.state == "armed"


def test_it_is_not_armed_while_something_is_amiss(rig):
    rig.speak()
    rig.arm.shadow()
    rig.arm.hear_status(0, 1)
    assert rig.arm.arm() == "the robot cannot be armed: robot halted: status says 1: slow"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_a_fault_and_does_not_leave(rig, value):
    rig.ready()
    rig.step(FORWARD)
    sent = rig.step(np.where(np.arange(7) == 2, value, FORWARD))
    assert rig.state == "fault" and all(np.isfinite(speed) for speed in speeds(sent))


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_arm_that_is_found_beyond_its_limits_is_still_stopped(name):
    rig = Rig(*ADAPTERS[name]()).ready()
    go = np.append(np.full(rig.contract.action_width - 1, 0.5), -1.0)
    for _ in range(5):
        rig.step(go)
    rig.position, rig.joints = np.array([9.0, 0.0, 0.4]), np.full(3, 9.0)
    stop = [each for _ in range(20) for each in rig.step(go) if each.channel == ARM]
    assert rig.state == "armed"
    rig.arm.disarm()
    while not rig.arm.is_at_rest:
        stop += rig.step(go)
    assert stop and not any(each.is_shadow for each in stop)


@pytest.mark.parametrize("name", ADAPTERS)
def test_where_the_stop_itself_is_refused_the_arm_is_told_to_stand_where_it_is(name):
    rig = Rig(*ADAPTERS[name]()).ready()
    go = np.append(np.full(rig.contract.action_width - 1, 0.5), -1.0)
    watch = Watch(rig)
    for _ in range(5):
        watch.see(rig.step(go))
    rig.arm._commander.gate.rest()  # as if it had lost what was sent: the stop looks like a jump
    rig.arm.fail("the driver refuses")
    (last,) = rig.step(go)
    assert not last.is_shadow and rig.arm.is_at_rest
    here = [*rig.position, *rig.joints][0 if rig.contract.motion else 3]
    said = {
        "cartesian_rate": lambda message: message.twist.linear.x,
        "cartesian_pose": lambda message: message.pose.position.x - here,
        "joint_trajectory": lambda message: message.points[0].positions[0] - here,
        "joint_trajectory_chunks": lambda message: message.points[0].positions[0] - here,
        "joint_velocity": lambda message: message.data[0],
    }
    assert said[name](last.message) == pytest.approx(0.0) and not rig.step(go)


def test_a_trajectory_ends_in_rest_by_itself():
    rig = Rig(*ADAPTERS["joint_trajectory"]()).ready()
    for _ in range(10):
        (*_, last) = (each.message for each in rig.step([1.0, 0.5, -1.0, -1.0]) if each.channel == ARM)
        rig.joints = np.array(last.points[0].positions)
    assert len(last.points) > 2 and not any(last.points[-1].velocities)
    times = [point.time_from_start.sec + point.time_from_start.nanosec / 1e9 for point in last.points]
    assert np.allclose(np.diff(times), 0.05) and times[0] == pytest.approx(0.05)


def test_a_joint_position_is_reached_and_not_passed():
    rig = Rig(*ADAPTERS["joint_trajectory"]()).ready()
    furthest = 0.0
    for _ in range(60):
        for each in rig.step([1.0, 0.0, 0.0, -1.0]):
            if each.channel == ARM:
                rig.joints = np.array(each.message.points[0].positions)
                furthest = max(furthest, rig.joints[0])
    assert rig.joints[0] == pytest.approx(1.0, abs=1e-3) and furthest < 1.02


def test_a_pose_target_does_not_run_away_from_an_arm_that_is_held():
    rig = Rig(*ADAPTERS["cartesian_pose"]()).ready()
    sent = [each.message for each in hold(rig, 3.0) if each.channel == ARM]
    assert 0.02 < sent[-1].pose.position.x <= rig.settings.arm.leash + 1e-9, "the arm has not moved"


@pytest.mark.parametrize("name", ["cartesian_pose", "joint_trajectory"])
def test_an_arm_that_was_guided_by_hand_while_it_was_held_does_not_jump_back(name):
    rig = Rig(*ADAPTERS[name]()).ready()
    still = np.zeros(rig.contract.action_width)
    rig.step(still)
    rig.arm.hear_status(0, 1)
    rig.step(still)
    moved = rig.settings.arm.leash + 0.2
    rig.position, rig.joints = rig.position + [moved, 0, 0], rig.joints + [moved, 0, 0]
    assert target(rig, still) == pytest.approx(moved), "it is held where it was led to"
    rig.arm.hear_status(0, 0)
    while rig.state == "holding":
        resumed = target(rig, still)
    assert rig.state == "armed" and resumed == pytest.approx(moved, abs=0.1)


def target(rig: Rig, action: np.ndarray) -> float:
    """The first value of the position that leaves in one control step."""
    (message,) = (each.message for each in rig.step(action) if each.channel == ARM)
    return message.pose.position.x if rig.contract.motion else message.points[0].positions[0]


TURN = np.array([0, 0, 0, 0, 0, 0.5, -1.0])


def turned(rig: Rig, action: np.ndarray) -> float:
    """rad between the rotation that leaves in one control step and the measured one."""
    (message,) = (each.message for each in rig.step(action) if each.channel == ARM)
    sent = message.pose.orientation
    away = quaternion_product(np.array([sent.x, sent.y, sent.z, sent.w]), conjugate(rig.rotation))
    return 2 * float(np.arctan2(np.linalg.norm(away[:3]), abs(away[3])))


def test_a_pose_target_does_not_turn_away_from_an_arm_that_is_held():
    rig = Rig(*ADAPTERS["cartesian_pose"]()).ready()
    angles = [turned(rig, TURN) for _ in range(60)]
    assert 0.1 < max(angles) <= rig.settings.arm.leash_angle + 1e-6, "the arm has not turned"


def test_a_pose_target_follows_an_arm_that_turns_as_far_as_it_is_told():
    rig = Rig(*ADAPTERS["cartesian_pose"]()).ready()
    for _ in range(60):
        (message,) = (each.message for each in rig.step(TURN) if each.channel == ARM)
        place = message.pose.orientation
        rig.rotation = np.array([place.x, place.y, place.z, place.w])
    away = quaternion_product(rig.rotation, conjugate(np.array(UPRIGHT)))
    assert 2 * np.arctan2(np.linalg.norm(away[:3]), abs(away[3])) > 1.5


def test_an_arm_whose_hand_was_turned_while_it_was_held_does_not_turn_back():
    rig = Rig(*ADAPTERS["cartesian_pose"]()).ready()
    still = np.zeros(rig.contract.action_width)
    rig.step(still)
    rig.arm.hear_status(0, 1)
    rig.step(still)
    rig.rotation = quaternion_product(axis_angle_to_quaternion(np.array([0, 0, 1.0])), rig.rotation)
    assert turned(rig, still) == pytest.approx(0.0, abs=1e-6)
    rig.arm.hear_status(0, 0)
    while rig.state == "holding":
        assert turned(rig, still) == pytest.approx(0.0, abs=1e-6)
    assert rig.state == "armed" and turned(rig, still) == pytest.approx(0.0, abs=1e-6)


def test_nothing_more_leaves_in_a_step_whose_command_the_driver_does_not_take(rig):
    rig.ready()
    rig.arm._send = lambda outgoing: (rig.sent.append(outgoing), rig.arm.fail("arm: no action server"))
    sent = rig.step(CLOSE)
    assert rig.state == "fault" and [each.channel for each in sent] == [ARM]


class Ticking:
    """The bridge's tick around an arm: what is played is ``FORWARD`` with the gripper closed, on and on."""

    def __init__(self) -> None:
        self.rig = Rig(*ADAPTERS["cartesian_rate"]())
        node = SimpleNamespace(arm=self.rig.arm, start=lambda: None, judged=False)
        self.world = ArmWorld(node, self.rig.contract, self.rig.settings, EpisodeState("", 0, 0, False, "", 0))
        self.meanwhile, self.said = lambda: None, []
        self._bridge = SimpleNamespace(is_active=True, _world=self.world, _player=self, _step=self._step)
        self._bridge._publish_reports, self._bridge._advance = self.said.append, lambda: None
        self._bridge._hindrance = lambda: BridgeNode._hindrance(self._bridge)

    def hinder(self, hindrance) -> str:
        return hindrance.text

    def _step(self) -> None:
        self.meanwhile()
        self.world.step(FORWARD + CLOSE * 2)

    def tick(self, meanwhile=lambda: None) -> list:
        """What leaves, or is shown. Args: meanwhile: happens after the bridge has looked whether it may play."""
        self.meanwhile = meanwhile
        self.rig.sent.clear()
        self.rig.pass_time(1 / self.rig.contract.rate)
        self.rig.speak()
        BridgeNode._tick(self._bridge)
        return list(self.rig.sent)


def test_a_robot_that_is_armed_takes_nothing_that_was_begun_before():
    ticking = Ticking()
    rig, said = ticking.rig, ticking.said
    rig.ready()
    ticking.tick(), ticking.tick()
    assert said == ["robot halted: armed just now", ""]
    rig.arm.hear_status(0, 1)
    ticking.tick()
    assert said.pop() == "robot halted: status says 1: slow"
    rig.arm.hear_status(0, 0)
    while ticking.world.hindrance:
        ticking.tick()
    assert "armed just now" not in " ".join(said[1:]), "a robot that goes on after a hold was armed by nobody"
    rig.arm.disarm()
    for _ in range(20):
        ticking.tick()
    rig.ready()
    ticking.tick()
    assert said[-1] == "robot halted: armed just now"


def test_whoever_looks_at_what_hinders_a_robot_takes_nothing_from_the_bridge():
    ticking = Ticking()
    ticking.rig.ready()
    assert [ticking.world.hindrance.text for _ in "123"] == ["", "", ""]
    ticking.tick()
    assert ticking.said == ["robot halted: armed just now"]


def test_no_action_that_was_computed_in_shadow_leaves_where_the_arming_falls_into_a_control_step():
    ticking = Ticking()
    ticking.rig.speak()
    assert ticking.rig.arm.shadow() == ""
    assert all(each.is_shadow for each in ticking.tick()) and ticking.said == [""]
    sent = ticking.tick(meanwhile=ticking.rig.arm.arm)
    assert ticking.rig.state == "armed" and ticking.said == ["", ""], "it was looked at before"
    assert [(each.channel, each.is_shadow) for each in sent] == [(ARM, False)] and speeds(sent) == [0.0]
    ticking.tick()
    assert ticking.said[-1] == "robot halted: armed just now"
    assert speeds(ticking.tick())[0] > 0.1


def test_an_episode_that_cannot_begin_as_a_sensor_is_silent_leaves_what_was_seen():
    rig = Rig(*ADAPTERS["cartesian_rate"]())
    settings = replace(rig.settings, start_timeout=0.01)
    drivers = SimpleNamespace(complaints={"/joints": "/driver publishes another type"})
    node = SimpleNamespace(arm=rig.arm, drivers=drivers, start=lambda: None, put_back=lambda values: None, judged=False)
    world = ArmWorld(node, rig.contract, settings, EpisodeState("", 0, 0, False, "", 0))
    rig.ready()
    seen = world.sense()
    with pytest.raises(ValueError, match=r"is not observed: .*nothing has come; /joints: /driver publishes another"):
        world.reset(EpisodeStart())
    assert seen is not None and world.sense() is seen


def test_where_a_pose_has_come_to_is_reckoned_from_its_own_stamp(rig):
    rig.ready()
    rig.pass_time(0.02)
    rig.arm.hear("eef_pose", SensorSample(rig.now, rig.now, Pose(rig.position, np.array(UPRIGHT))))
    assert rig.arm._measured().stamp == rig.now, "though joints were said before"


def test_a_description_that_is_none_is_told_as_such_while_the_arm_is_disabled():
    contract, settings = ADAPTERS["cartesian_rate"]()
    settings = replace(settings, description=DescriptionInput("/robot_description", "base", "tip"))
    rig = Rig(replace(contract, singularity=SingularityLimits(10.0, 10.0)), settings)
    rig.speak()
    assert "no description has come" in rig.arm.trouble().text
    rig.arm.hear_description("no URDF")
    assert "/robot_description: the robot's description is no XML" in rig.arm.trouble().text

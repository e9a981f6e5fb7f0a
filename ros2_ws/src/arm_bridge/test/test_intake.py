"""What sensors say: late, early, twice, out of order, frozen, apart from each other."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.clock import ClockType
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import Header

from arm_bridge.bench import ADAPTERS, Rig
from arm_bridge.intake import InputLimits, Intake, SensorSample
from arm_bridge.joint_parts import JointParts
from arm_bridge.pose_source import listen_to_pose
from arm_bridge.sensors import PoseReader, intrinsics, joint_sample
from arm_bridge.settings import CameraInput, PoseInput
from substep_core.contract import Camera, CameraRole, Joints, JointSource, StateGroup, StateQuantity
from substep_core.ros.messages import joint_state_to_message, to_time

MS = 1_000_000
LIMITS = {"front": InputLimits(0.2, 0.05, 0.02), "joints": InputLimits(0.1, 0.02)}


@pytest.fixture
def intake() -> Intake:
    return Intake(LIMITS)


def say(intake: Intake, name: str, stamp_ms: int, now_ms: int | None = None, content: int = -1, way: float = 0.0):
    content = stamp_ms if content == -1 else content
    now = (stamp_ms if now_ms is None else now_ms) * MS
    intake.add(name, SensorSample(stamp_ms * MS, content, f"{name} {stamp_ms}"), now, way)


def test_one_observation_is_the_instant_of_what_is_furthest_behind(intake):
    assert intake.observation() is None
    for stamp in range(1000, 1100, 10):
        say(intake, "joints", stamp)
    say(intake, "front", 1043)
    stamp, samples = intake.observation()
    assert stamp == 1043 * MS
    assert (samples["front"].value, samples["joints"].value) == ("front 1043", "joints 1040")
    assert not intake.apart()


def test_inputs_that_are_too_far_apart_are_no_observation(intake):
    say(intake, "joints", 1000)
    say(intake, "joints", 1100)
    say(intake, "front", 1050)
    assert intake.apart().text == "observation lost: joints: 0.050 s apart from the others, expected at most 0.02 s"


def test_messages_said_twice_or_out_of_order_are_dropped(intake):
    front = intake.inputs["front"]
    for stamp in (1000, 1050, 1050, 1000, 1100):
        say(intake, "front", stamp, now_ms=1100)
    assert [sample.stamp // MS for sample in front.samples] == [1000, 1050, 1100]
    assert front.dropped["old"] == 2 and front.trouble(1100 * MS) == ""


def test_stamps_that_jump_ahead_are_not_believed(intake):
    front = intake.inputs["front"]
    say(intake, "front", 1000)
    for now in range(1050, 1300, 50):
        say(intake, "front", now + 5000, now_ms=now)
    why = front.trouble(1250 * MS)
    assert why == "front: 0.25 s old, expected at most 0.2 s (its stamp is 5.000 s in the future)"
    say(intake, "front", 1300)
    assert front.trouble(1300 * MS) == ""


def test_stamps_that_jump_back_are_not_believed(intake):
    front = intake.inputs["front"]
    say(intake, "front", 9000)
    for now in range(9050, 9300, 50):
        say(intake, "front", now - 5000, now_ms=now)
    assert "went back by 4.750 s" in front.trouble(9250 * MS)


def test_a_clock_that_is_set_back_is_trouble_until_sensors_speak_by_it(intake):
    front = intake.inputs["front"]
    say(intake, "front", 9000)
    assert front.trouble(4000 * MS) == "front: its stamp is 5.000 s in the future: the clock was set back"
    say(intake, "front", 4010)
    assert [sample.stamp // MS for sample in front.samples] == [4010] and front.trouble(4020 * MS) == ""


@pytest.mark.parametrize(("content", "way", "is_frozen"), [(7, 0.03, True), (7, 0.01, False), (-1, 0.03, False)])
def test_the_same_picture_with_new_stamps_is_frozen_once_the_arm_has_moved(intake, content, way, is_frozen):
    for step in range(10):
        say(intake, "front", 1000 + 50 * step, content=content, way=way * step / 9)
    assert ("frozen" in intake.inputs["front"].trouble(1450 * MS)) is is_frozen


def part(stamp_ms: int, **position: float) -> SensorSample:
    return joint_sample(JointState(header=header(stamp_ms), name=list(position), position=list(position.values())))


def header(stamp_ms: int) -> Header:
    return Header(stamp=to_time(stamp_ms * MS))


def test_joints_that_two_publishers_say_between_them_are_one_sample():
    parts = JointParts({"arm", "finger"}, max_skew=0.05)
    assert parts.whole(part(1000, arm=1.0), 1000 * MS) is None and parts.awaited == "joint finger has not been said"
    found = parts.whole(part(1010, finger=0.04, mimic=0.04), 1010 * MS)
    assert (found.stamp, found.value.position) == (1010 * MS, {"arm": 1.0, "finger": 0.04, "mimic": 0.04})
    found = parts.whole(part(1030, arm=1.1), 1030 * MS)
    assert (found.stamp, found.value.position) == (1030 * MS, {"arm": 1.1, "finger": 0.04, "mimic": 0.04})
    assert parts.whole(part(1020, finger=0.03), 1030 * MS) is None, "nothing newer than what was put together last"
    whole = part(1040, finger=0.02, arm=1.2)
    assert parts.whole(whole, 1040 * MS) is whole and not parts.awaited
    assert parts.whole(part(1100, arm=1.3), 1100 * MS) is None
    assert parts.awaited == "joint finger: 0.080 s behind the others, expected at most 0.05 s"


@pytest.fixture
def two_publishers() -> Rig:
    """An arm with a finger on the topic of its joints, which allows 30 ms between them."""
    contract, settings = ADAPTERS["joint_velocity"]()
    finger = StateGroup("finger", StateQuantity.GRIPPER_POSITION, "m", JointSource(("f",)))
    joints = {"joint_states": replace(settings.joints["joint_states"], max_skew=0.03)}
    return Rig(replace(contract, state=(*contract.state, finger)), replace(settings, joints=joints))


def test_a_gripper_that_speaks_more_rarely_than_the_arm_is_waited_for_and_nothing_counts_as_malformed(two_publishers):
    """The arm at 100 Hz, the gripper at 10 Hz."""
    rig, joints = two_publishers, two_publishers.arm.intake.inputs["joint_states"]
    taken = []
    for now in range(1000, 2000, 10):
        rig.now = now * MS
        if now % 100 == 0:
            rig.arm.hear("joint_states", part(now, f=0.04))
        rig.arm.hear("joint_states", part(now, j1=0.001 * now, j2=0.0, j3=0.0))
        if joints.newest.stamp == rig.now:
            taken.append(now)
    assert taken[:5] == [1000, 1010, 1020, 1030, 1100], "as long as what the gripper said last is near enough"
    assert not any(joints.dropped.values())
    assert joints.trouble(2150 * MS) == (
        "joint_states: 0.22 s old, expected at most 0.2 s (joint f: 0.090 s behind the others, expected at most 0.03 s)"
    )


def test_joints_said_before_the_clock_was_set_back_are_not_put_together_with_later_ones():
    parts = JointParts({"arm", "finger"}, max_skew=0.05)
    parts.whole(part(9000, arm=1.0), 9000 * MS)
    assert parts.whole(part(1000, finger=0.0), 1000 * MS) is None and parts.awaited == "joint arm has not been said"
    assert parts.whole(part(1010, arm=2.0), 1010 * MS).value.position["arm"] == 2.0


def test_joints_are_taken_by_name_in_the_drivers_order():
    sample = joint_sample(JointState(name=["b", "a"], position=[2.0, 1.0]))
    assert sample.value.position == {"a": 1.0, "b": 2.0}
    with pytest.raises(ValueError, match="2 names but 1 positions"):
        joint_sample(JointState(name=["b", "a"], position=[2.0]))
    with pytest.raises(ValueError, match="joint a is at nan"):
        joint_sample(JointState(name=["a"], position=[np.nan]))
    with pytest.raises(ValueError, match="named twice: a, a"):
        joint_sample(JointState(name=["a", "a"], position=[1.0, 2.0]))


def test_a_joint_that_nobody_wants_need_not_be_measured():
    message = JointState(name=["a", "passive"], position=[1.0, np.nan], velocity=[0.5, np.nan])
    sample = joint_sample(message, wanted={"a"})
    assert (sample.value.position, sample.value.velocity) == ({"a": 1.0}, {"a": 0.5})
    with pytest.raises(ValueError, match="joint passive is at nan"):
        joint_sample(message, wanted={"a", "passive"})


def test_what_says_no_joint_that_is_wanted_moves_nothing():
    parts = JointParts({"arm", "finger"}, max_skew=0.05)
    assert parts.whole(part(1000, head=0.1), 1000 * MS) is None and parts.awaited == "joint arm has not been said"
    parts.whole(part(1010, arm=1.0), 1010 * MS)
    assert parts.whole(part(1020, finger=0.0), 1020 * MS).stamp == 1020 * MS
    assert parts.whole(part(1030, head=0.2), 1030 * MS) is None
    assert parts.whole(part(1025, arm=1.1), 1030 * MS).stamp == 1025 * MS and not parts.awaited


def pose(x: float = 1.0, w: float = 0.0, frame: str = "base") -> PoseStamped:
    message = PoseStamped()
    message.header.frame_id = frame
    message.pose.orientation.x, message.pose.orientation.w = x, w
    return message


def test_a_quaternion_goes_on_without_a_jump_in_sign():
    reader = PoseReader(PoseInput(topic="pose", sign_like=(1.0, 0.0, 0.0, 0.0)), "base")
    assert reader.sample(pose(-1.0)).value.quaternion[0] == 1.0
    assert reader.sample(pose(-0.8, 0.6)).value.quaternion == pytest.approx([0.8, 0.0, 0.0, -0.6])
    with pytest.raises(ValueError, match="frame 'map', expected 'base'"):
        reader.sample(pose(frame="map"))
    with pytest.raises(ValueError, match="quaternion of norm 2"):
        reader.sample(pose(2.0))


def test_intrinsics_follow_the_image_to_the_contracts_size():
    camera = Camera("front", CameraRole.SCENE, 128, 128, "front")
    info = CameraInfo(height=480, width=640, k=[600.0, 0, 320.0, 0, 600.0, 240.0, 0, 0, 1.0])
    matrix = intrinsics(info, camera, CameraInput(topic="front"))
    assert np.allclose(matrix, [[160.0, 0, 64.0], [0, 160.0, 64.0], [0, 0, 1]])
    assert not intrinsics(None, camera, CameraInput(topic="front")).any(), "not calibrated, as ROS has it"


def test_an_arm_that_moves_far_between_two_pictures_is_no_sign_of_a_frozen_camera(intake):
    say(intake, "front", 1000, content=7)
    say(intake, "front", 1050, content=7, way=0.5)
    assert intake.inputs["front"].trouble(1050 * MS) == ""


def test_joints_that_speak_a_thousand_times_a_second_are_remembered_as_long_as_a_camera_may_be_late(intake):
    say(intake, "front", 1000)
    for stamp in range(900, 1196):
        say(intake, "joints", stamp)
    stamp, samples = intake.observation()
    assert stamp == 1000 * MS and samples["joints"].stamp == stamp and not intake.apart()


def test_what_is_older_than_any_input_may_be_is_forgotten(intake):
    for stamp in range(1000, 3000, 2):
        say(intake, "joints", stamp)
    assert len(intake.inputs["joints"].samples) < 200


def test_joints_whose_velocity_is_not_measured_are_found_frozen_and_their_velocity_is_none():
    samples = [joint_sample(JointState(name=["a", "b"], position=[0.1, 0.2], velocity=[np.nan, 1.0])) for _ in "12"]
    assert samples[0].content == samples[1].content and samples[0].value.velocity == {"b": 1.0}


def test_joints_of_which_some_have_a_velocity_are_said_on():
    message = joint_state_to_message(Joints({"a": 0.1, "b": 0.2}, {"b": 1.0}), to_time(1))
    assert np.isnan(message.velocity[0]) and message.velocity[1] == 1.0


class Transforms:
    """In place of tf2_ros: what a buffer says, as real ones do the newest until it is cleared."""

    class TransformException(Exception):
        pass

    def __init__(self) -> None:
        self.newest: TransformStamped | None = None

    def Buffer(self) -> Transforms:  # noqa: N802
        return self

    def TransformListener(self, buffer: Transforms, node: object) -> object:  # noqa: N802
        return self

    def lookup_transform(self, frame: str, child: str, when: object) -> TransformStamped:
        if self.newest is None:
            raise self.TransformException
        return self.newest

    def clear(self) -> None:
        self.newest = None


def test_a_pose_of_tf2_is_looked_up_whatever_the_clock_does_and_the_buffer_forgets_what_is_yet_to_come(monkeypatch):
    transforms, timers, heard = Transforms(), [], []
    monkeypatch.setitem(sys.modules, "tf2_ros", transforms)
    node = SimpleNamespace(create_timer=lambda period, look, clock: timers.append((look, clock)))
    minded = []
    drivers = SimpleNamespace(mind=lambda kind, topic, qos: minded.append(topic))
    listen_to_pose(node, drivers, PoseInput(child="tool0"), "base", 20.0, lambda read, message: heard.append(message))
    ((look, clock),) = timers
    assert minded == ["/tf", "/tf_static"], "whoever publishes there what the listener does not hear is named"
    assert clock.clock_type is ClockType.STEADY_TIME
    look()
    for ahead, stays in ((0.0, True), (60.0, False)):
        header = Header(stamp=to_time(time.time_ns() + round(ahead * 1e9)))
        transforms.newest = TransformStamped(header=header)
        look()
        assert heard[-1].header == header and (transforms.newest is not None) is stays

"""One message of a sensor that is none, among good ones, costs nothing; where all are none, the arm holds."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from PIL import Image as Picture
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Header

from arm_bridge.arm_node import ArmNode
from arm_bridge.bench import STATUS, UPRIGHT, Rig
from arm_bridge.report import robot_status
from arm_bridge.sensors import PoseReader, image_sample, joint_sample
from arm_bridge.settings import camera_input, load_arm
from arm_bridge.world import ArmWorld
from substep_core.episode import EpisodeState
from substep_core.protocol import HoldKind
from substep_core.ros.messages import to_time

STILL = np.zeros(7)
SIDE = 128


class Cell:
    """The stand-in's sensors as messages, and the bridge's world around its arm; a period is a control step."""

    def __init__(self) -> None:
        settings, contract = load_arm("standin")
        settings = replace(settings, status=(STATUS,))
        self.rig = Rig(contract, settings)
        self.arm = self.rig.arm
        node = SimpleNamespace(arm=self.arm, start=lambda: None, judged=False)
        self.world = ArmWorld(node, contract, settings, EpisodeState("", 0, 0, False, "", 0))
        self._node, self._shade = SimpleNamespace(arm=self.arm), 0
        self._reader = PoseReader(settings.poses["eef_pose"], contract.base_frame)
        limited = [limit.name for limit in contract.joint_limits]
        self.names = [*limited, "panda_finger_joint1", "panda_finger_joint2"]

    def period(self, **spoil: Callable[[Any], Any]) -> None:
        """Every sensor speaks, and the bridge makes a step. spoil: makes one's message, ``agentview``'s say, none."""
        self.rig.pass_time(1 / self.rig.contract.rate)
        for camera in ("agentview", "eye_in_hand"):
            self._hear(camera_input(camera), image_sample, spoil.get(camera, lambda image: image)(self._image()))
        joints = JointState(header=self._header(), name=self.names, position=[0.0] * 7 + [0.04, -0.04])
        read_joints = partial(joint_sample, wanted=self.arm.wanted_joints)
        self._hear("joint_states", read_joints, spoil.get("joint_states", lambda joints: joints)(joints))
        pose = PoseStamped(header=self._header("world"))
        pose.pose.position.z = 0.4
        turn = pose.pose.orientation
        turn.x, turn.y, turn.z, turn.w = UPRIGHT
        self._hear("eef_pose", self._reader.sample, spoil.get("eef_pose", lambda pose: pose)(pose))
        self.world.step(STILL)
        self.world.sense()
        self.arm.watch()

    def seconds(self, seconds: float, **spoil: Callable[[Any], Any]) -> None:
        for _ in range(round(seconds * self.rig.contract.rate)):
            self.period(**spoil)

    @property
    def diagnostics(self) -> dict[str, str]:
        (status,) = robot_status("bridge", self.arm, to_time(self.rig.now), {}).status
        return {item.key: item.value for item in status.values}

    def _hear(self, name: str, read: Callable, message: Any) -> None:
        ArmNode._hear(self._node, name, read, message)

    def _header(self, frame: str = "") -> Header:
        return Header(stamp=to_time(self.rig.now), frame_id=frame)

    def _image(self) -> Image:
        self._shade = (self._shade + 1) % 256
        data = bytes([self._shade]) * (3 * SIDE * SIDE)
        return Image(header=self._header(), height=SIDE, width=SIDE, step=3 * SIDE, encoding="rgb8", data=data)


@pytest.fixture
def cell() -> Cell:
    cell = Cell()
    cell.seconds(0.2)
    assert (cell.arm.shadow(), cell.arm.arm()) == ("", "")
    cell.seconds(0.2)
    return cell


def torn(image: Image) -> CompressedImage:
    """A JPEG of which half has come."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    Picture.fromarray(noise).save(file, "jpeg")
    return CompressedImage(header=image.header, format="jpeg", data=file.getvalue()[: file.tell() // 2])


def huge(image: Image) -> CompressedImage:
    """A PNG that says it has 10¹⁰ pixels: Pillow takes it for a decompression bomb."""
    file = io.BytesIO()
    Picture.new("RGB", (1, 1)).save(file, "png")
    said = bytearray(file.getvalue())
    said[16:24] = (100_000).to_bytes(4, "big") * 2
    return CompressedImage(header=image.header, format="png", data=bytes(said))


def changed(**values: Any) -> Callable[[Any], Any]:
    def change(message: Any) -> Any:
        for name, value in values.items():
            setattr(message, name, value)
        return message

    return change


def without_a_turn(pose: PoseStamped) -> PoseStamped:
    turn = pose.pose.orientation
    turn.x = turn.y = turn.z = turn.w = 0.0
    return pose


def a_joint_is_nan(joints: JointState) -> JointState:
    joints.position[0] = np.nan
    return joints


CASES = {
    "another encoding": ("agentview", changed(encoding="16UC1"), "camera agentview", "has encoding '16UC1'"),
    "cut off": ("agentview", changed(data=b"123"), "camera agentview", "has 3 bytes"),
    "half a JPEG": ("eye_in_hand", torn, "camera eye_in_hand", "cannot be read"),
    "a bomb": ("eye_in_hand", huge, "camera eye_in_hand", "cannot be read"),
    "fewer positions": ("joint_states", changed(position=[0.0]), "joint_states", "9 names but 1 positions"),
    "a joint is NaN": ("joint_states", a_joint_is_nan, "joint_states", "joint panda_joint1 is at nan"),
    "no rotation": ("eef_pose", without_a_turn, "eef_pose", "a quaternion of norm 0"),
    "another frame": ("eef_pose", changed(header=Header(frame_id="map")), "eef_pose", "frame 'map', expected 'world'"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_that_is_none_is_counted_and_dropped(cell, case):
    sensor, spoil, name, _ = CASES[case]
    seen = cell.world.sense().stamp
    cell.period(**{sensor: spoil})
    assert cell.rig.state == "armed" and cell.diagnostics[f"{name} malformed"] == "1"
    assert cell.world.sense().stamp == seen, "it goes on with what it has seen"
    cell.period()
    assert cell.rig.state == "armed" and cell.world.sense().stamp == cell.rig.now
    cell.seconds(1.0)
    assert cell.rig.state == "armed" and cell.diagnostics[f"{name} malformed"] == "1"


@pytest.mark.parametrize("case", CASES)
def test_nothing_but_such_makes_it_hold_once_the_last_good_one_is_too_old_and_it_goes_on_by_itself(cell, case):
    sensor, spoil, name, words = CASES[case]
    settings = cell.rig.settings
    limit = {**settings.cameras, **settings.joints, **settings.poses}[sensor].max_age
    cell.seconds(limit - 0.06, **{sensor: spoil})
    assert cell.rig.state == "armed"
    cell.seconds(0.15, **{sensor: spoil})
    hindrance = cell.world.hindrance
    assert cell.rig.state == "holding" and hindrance.kind is HoldKind.OBSERVATION_LOST
    assert name in hindrance.text and "old, expected at most" in hindrance.text and words in hindrance.text
    for _ in range(20):
        cell.period(**{sensor: spoil})
        assert cell.world.hindrance, "one that is none does not count as fresh until it is looked at"
    cell.seconds(1.0)
    assert cell.rig.state == "armed" and not cell.world.hindrance


def test_every_second_picture_may_be_none(cell):
    for _ in range(20):
        cell.period(agentview=torn)
        cell.period()
        assert cell.rig.state == "armed"
    assert cell.diagnostics["camera agentview malformed"] == "20"


def test_a_camera_that_gives_nothing_but_what_cannot_be_read_says_so_before_it_begins():
    cell = Cell()
    cell.seconds(0.5, agentview=changed(encoding="16UC1"))
    assert cell.world.sense() is None
    why = cell.arm.trouble().text
    assert "camera agentview: nothing has come" in why and "has encoding '16UC1', expected one of rgb8" in why


def test_joint_states_without_the_arms_joints_are_waited_for_and_latch_nothing(cell):
    """As a gripper's driver says them on the arm's topic: the contract limits joints of the arm and reads fingers."""

    def fingers(joints: JointState) -> JointState:
        joints.name, joints.position = joints.name[-2:], joints.position[-2:]
        return joints

    cell.period(joint_states=fingers)
    measured = cell.world.sense().readings.joints["joint_states"].position
    assert measured.keys() >= {limit.name for limit in cell.rig.contract.joint_limits}
    cell.seconds(0.3, joint_states=fingers)
    assert cell.rig.state == "holding" and "joint panda_joint" in cell.world.hindrance.text
    cell.seconds(1.0)
    assert cell.rig.state == "armed"


def test_a_joint_whose_place_is_limited_and_that_nobody_says_is_named():
    cell = Cell()
    cell.names[0] = "panda_jiont1"
    cell.seconds(0.3)
    assert cell.arm.trouble().text == "observation lost: joint panda_joint1 of joint_limits is not said on joint_states"

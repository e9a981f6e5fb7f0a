"""Contracts and parameter files that ship, against descriptions of what the robots' drivers offer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from arm_bridge.arm import Arm
from arm_bridge.settings import ARMS, ArmSettings, load_arm
from substep_core.contract import JointSource, RobotContract

DRIVERS = sorted((Path(__file__).parent / "drivers").glob("*.yaml"))


@pytest.fixture(params=DRIVERS, ids=lambda path: path.stem)
def described(request) -> tuple[ArmSettings, RobotContract, dict]:
    return *load_arm(request.param.stem), yaml.safe_load(request.param.read_text())


def topics_of(settings: ArmSettings) -> Iterator[tuple[str, str]]:
    """Every topic of a parameter file, with its type."""
    for camera in settings.cameras.values():
        yield camera.topic, f"sensor_msgs/msg/{'CompressedImage' if camera.compressed else 'Image'}"
        if camera.info:
            yield camera.info, "sensor_msgs/msg/CameraInfo"
    for joints in settings.joints.values():
        yield joints.topic, "sensor_msgs/msg/JointState"
    for pose in settings.poses.values():
        if pose.topic:
            yield pose.topic, "geometry_msgs/msg/PoseStamped"
    for status in settings.status:
        yield status.topic, status.type
    for adapter in (settings.arm, *(gripper for gripper in settings.grippers if not gripper.is_action)):
        kind = adapter.message_type()
        yield adapter.topic, f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def test_every_arm_but_the_stand_in_has_a_description_of_its_drivers():
    assert set(ARMS.names) == {path.stem for path in DRIVERS} | {"standin"}


def test_what_the_file_names_is_what_the_drivers_offer(described):
    settings, contract, driver = described
    assert set(topics_of(settings)) <= set(driver["topics"].items())
    assert {*settings.on_arm, *settings.on_reset} <= set(driver["services"])
    actions = {gripper.topic for gripper in settings.grippers if gripper.is_action}
    assert actions <= set(driver["actions"])
    assert contract.base_frame in driver["frames"]
    assert {pose.child for pose in settings.poses.values()} - {""} <= set(driver["frames"])


def test_every_joint_of_the_contract_is_one_of_the_drivers(described):
    _, contract, driver = described
    measured = {
        name for group in contract.state if isinstance(group.source, JointSource) for name in group.source.names
    }
    commanded = {name for group in contract.action for name in group.joints}
    assert measured | commanded | {limit.name for limit in contract.joint_limits} <= set(driver["joints"])


def test_no_sensor_is_expected_more_often_than_it_speaks(described):
    settings, _, driver = described
    inputs = [*settings.cameras.values(), *settings.joints.values()]
    for each in inputs:
        period = 1 / driver["rates"][each.topic]
        assert each.max_age > 2 * period and each.max_skew >= period / 2, each


@pytest.mark.parametrize("name", ARMS.names)
def test_contract_and_file_of_every_arm_make_an_arm(name):
    settings, contract = load_arm(name)
    arm = Arm(contract, settings, lambda _: None, lambda _: None, lambda: 0)
    arm.step(np.zeros(contract.action_width))
    assert arm.hindrance.text.startswith("robot disabled")


def wrong(tmp_path: Path, **changes) -> Path:
    data = yaml.safe_load(ARMS.load("standin").read_text()) | changes
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cameras": {}}, "cameras has none, and contract standin has agentview, eye_in_hand"),
        ({"arm": {"type": "telepathy", "topic": "x"}}, "telepathy"),
        ({"arm": {"type": "cartesian_rate"}}, "arm.topic is missing"),
        ({"arm": {"type": "cartesian_rate", "topic": "a b!"}}, "arm.topic is 'a b!': expected a ROS name"),
        ({"settle": float("nan")}, "settle is nan: .* finite"),
        ({"settle": True}, "settle is True: expected a number, not true or false"),
        ({"poses": {"eef_pose": {}}}, "a topic, or the child frame"),
        ({"grippers": []}, "0 grippers for the 1 of contract standin"),
        ({"speed": 3}, "speed is not a known key"),
    ],
)
def test_a_wrong_parameter_file_is_told_what_is_wrong(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        load_arm(wrong(tmp_path, **changes))


def test_an_arm_that_needs_a_package_that_is_not_there_says_which():
    gripper = load_arm("ur5e")[0].grippers[0]
    try:
        gripper.message_type()
    except ValueError as error:
        assert "needs control_msgs/action/ParallelGripperCommand" in str(error)


def test_joints_that_are_commanded_need_their_limits():
    settings, contract = load_arm("so101")
    with pytest.raises(
        ValueError, match="joint shoulder_pan is commanded, and joint_limits has no low, high, velocity"
    ):
        Arm(replace(contract, joint_limits=()), settings, lambda _: None, lambda _: None, lambda: 0)

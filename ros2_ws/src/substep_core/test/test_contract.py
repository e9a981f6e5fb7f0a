"""The robot contract: what it says comes back from YAML, what makes no sense is named, misfits are one sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from substep_core.contract import (
    Joints,
    Pose,
    Readings,
    contract_from_text,
    contract_to_text,
    gripper_command,
    gripper_opening,
    initial_action,
    load_robot,
    misfit,
    state_vector,
)

ROBOT = load_robot("libero_panda")
TEXT = contract_to_text(ROBOT)


def test_a_contract_comes_back_from_its_yaml():
    assert contract_from_text(TEXT, "topic") == ROBOT


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("rate: 20.0", "rate: -1"), "robot.yaml: rate is -1"),
        (("role: wrist", "role: nose"), "cameras.1.role is 'nose'"),
        (("name: eye_in_hand", "name: agentview"), "cameras has 'agentview' more than once"),
        (("width: 3\n  unit: m\n", "width: 0\n  unit: m\n"), "action.0.width is 0"),
        (("- 0.5\n  - 0.65", "- -0.9\n  - 0.65"), "is not below high"),
        (("max_horizon", "max_horizont"), "max_horizont is not a known key"),
        (("part: position", "part: rotation"), "source is the rotation of a pose, expected the position of a pose"),
        (
            ("quantity: rotation", "quantity: joint_position"),
            "source is the rotation of a pose, expected the position of",
        ),
        (("unit: m\n", "unit: mm\n"), "state.0.unit is 'mm'"),
        (("unit: m\n", "unit: rad\n"), "'eef_position' of quantity 'position': unit is 'rad', expected 'm'"),
        (("width: 3\n  unit: m\n", "width: 2\n  unit: m\n"), "'delta_position': width is 2, expected 3"),
        (("width: 1\n", "width: 2\n"), "action group 'gripper' of quantity 'gripper': width is 2, expected 1"),
        (("_joint2", "_joint1"), "joints 'gripper0_finger_joint1' are named more than once"),
        (
            ("    field: position", "    field: velocity"),
            "source is the velocity of joints, expected the position of joints",
        ),
        (("hold: last", "hold: zero"), "'gripper': hold 'zero' would send it to its zero, expected 'last' or"),
        (("hold: zero", "hold: last"), "hold 'last' would have it go on moving, expected 'zero'"),
        (("initial: -1.0", "initial: null"), "hold 'last' needs initial"),
        (
            ("hold: zero\n  measured_by: ''\n  initial: null", "hold: zero\n  measured_by: ''\n  initial: 0.5"),
            "initial belongs to hold 'last', and only to it; hold is 'zero'",
        ),
        (("name: libero_panda", "- name: ["), "robot.yaml is not YAML"),
        (("name: libero_panda", "name: " + "[" * 5000), "robot.yaml is not YAML: maximum recursion depth"),
        (
            ("rate: 20.0", "rate: 20.0\nrate: 10.0"),
            "line 3, column 1: key 'rate' stands here again, and first in line 2$",
        ),
        (("    part: position", "    part: position\n    part: rotation"), "key 'part' stands here again"),
        (("rate: 20.0", "rate: 2.0e+9"), "rate is 2000000000.0: .* less than or equal to 1000"),
        (("rate: 20.0", "rate: 1.0e-12"), "rate is 1e-12: .* greater than or equal to 0.1"),
        (("rate: 20.0", "rate: true"), "rate is True: expected a number, not true or false"),
        (("max_horizon: 64", "max_horizon: true"), "max_horizon is True: expected a number, not true or false"),
        (("max_horizon: 64", "max_horizon: 10000000000"), "max_horizon is 10000000000"),
        (
            ("    - 0.0\n    - 0.0\n    - 0.7071067811865476", "    - .nan\n    - 0.0\n    - 0.7071067811865476"),
            "is nan: ",
        ),
        (("opened: -1.0", "opened: .nan"), "action.0.opened is nan: .* finite"),
        (("  - 1.0\n  - -1.0\n", "  - .nan\n  - -1.0\n"), "state.2.opening.0 is nan: .* finite"),
        (("empty: 0.0022", "empty: .inf"), "state.2.empty is inf: .* finite"),
        (("  - -0.55\n", "  - -.inf\n"), "workspace.low.0 is -inf: .* finite"),
        (("  - 0.0\n  - 0.0\n  - -1.0\n", "  - .nan\n  - 0.0\n  - -1.0\n"), "is nan: .* finite"),
        (("low: -1.86", "low: -.inf"), "joint_limits.1.low is -inf: .* finite"),
        (("high: 1.0", "high: .inf"), "action.0.high is inf: .* finite"),
        (("initial: -1.0", "initial: 55"), "initial is 55.0, expected from low -1.0 to high 1.0"),
        (("opened: -1.0\n  closed: 1.0\nmax", "opened: -1.0\n  closed: 3.0\nmax"), "closed is 3.0, expected from low"),
        (("initial: -1.0", "initial: [-1.0, 1.0]"), "initial has 2 numbers, expected one or 1"),
        (("initial: -1.0", "initial: open"), "^robot.yaml: action.2.initial is 'open': expected a number or a list$"),
        (("name: libero_panda", "name: ''"), "name is '': expected a name"),
        (("base_frame: world", "base_frame: ''"), "base_frame is '': expected the name of a frame"),
        (("frame: agentview_optical_frame", "frame: ''"), "cameras.0.frame is '': expected the name of a frame"),
        (("topic: eef_pose", "topic: 'a b!'"), "topic is 'a b!': expected a ROS name"),
        (
            ("width: 3\n  unit: m\n", "width: 3\n  unit: deg\n"),
            "^robot.yaml: action.0.unit is 'deg': Input should be 'm', 'rad', 'm/s', 'rad/s' or ''$",
        ),
        (("rate: 20.0", "rate: " + "9" * 5000), "robot.yaml is not YAML: Exceeds the limit"),
        (("name: libero_panda", "name: " + "x" * 300_000), "robot.yaml has .* characters, expected at most 200000"),
    ],
)
def test_what_makes_no_sense_is_named(change, words):
    assert change[0] in TEXT
    with pytest.raises(ValueError, match=words):
        contract_from_text(TEXT.replace(*change, 1), "robot.yaml")


def test_an_initial_of_0_in_the_contract_of_an_older_checkpoint_says_nothing():
    hold = "hold: zero\n  measured_by: ''\n  initial: "
    assert contract_from_text(TEXT.replace(f"{hold}null", f"{hold}0.0", 1), "robot.yaml").rate == ROBOT.rate


JOINTED = """
name: jointed
rate: 50.0
cameras: []
state:
  - {name: arm, quantity: joint_position, unit: rad, source: {type: joints, names: [j1, j2]}}
  - {name: speed, quantity: joint_velocity, unit: rad/s, source: {type: joints, names: [j1, j2], field: velocity}}
action:
  - {name: arm, quantity: joint_position, width: 2, unit: rad, joints: [j1, j2], hold: measured, measured_by: arm}
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("hold: measured, measured_by: arm", "low: -2.0"),
            "hold 'zero' would send it to its zero, expected 'last' or",
        ),
        (
            ("hold: measured, measured_by: arm", "hold: last"),
            "'arm' of quantity 'joint_position': hold 'last' needs init",
        ),
        (("unit: rad, joints", "unit: m, joints"), "their unit are m and rad: must be the same"),
        (("measured_by: arm", "measured_by: speed"), "their unit are rad and rad/s"),
        (
            ("joints: [j1, j2], hold", "hold"),
            "does not say which joints it commands: expected joints, as those",
        ),
        (("joints: [j1, j2], hold", "joints: [j2, j1], hold"), "their joints are .'j2', 'j1'. and .'j1', 'j2'."),
    ],
)
def test_a_hold_that_would_move_the_joints_is_refused(change, words):
    contract_from_text(JOINTED, "robot.yaml")
    assert change[0] in JOINTED
    with pytest.raises(ValueError, match=words):
        contract_from_text(JOINTED.replace(*change, 1), "robot.yaml")


def test_aliases_that_mean_more_than_any_memory_holds_are_no_long_message():
    """Nine to the twelfth texts in a page of YAML."""
    lines = ["a0: &a0 [" + ", ".join("x" * 9) + "]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 12)]
    with pytest.raises(ValueError, match="robot.yaml: name is ") as error:
        contract_from_text("\n".join(lines) + "\n" + TEXT.replace("name: libero_panda", "name: *a11", 1), "robot.yaml")
    assert len(str(error.value)) < 5000


def test_an_unknown_robot_names_those_there_are():
    with pytest.raises(ValueError, match=r"unknown robot 'panad': expected one of .*libero_panda .substep.core"):
        load_robot("panad")


unit_quaternions = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)


@given(unit_quaternions, st.floats(0, 0.04), st.floats(-0.04, 0))
def test_the_state_is_put_together_as_the_contract_says(quaternion, left, right):
    quaternion = np.array(quaternion) / np.linalg.norm(quaternion)
    joints = Joints({"other": 1.0, "gripper0_finger_joint2": right, "gripper0_finger_joint1": left})
    readings = Readings({"eef_pose": Pose(np.array([0.1, 0.2, 0.3]), quaternion)}, {"joint_states": joints})
    state = state_vector(ROBOT, readings)
    np.testing.assert_allclose(state[[0, 1, 2, 6, 7]], [0.1, 0.2, 0.3, left, right], rtol=1e-6, atol=1e-9)
    turned = Rotation.from_quat(quaternion) * Rotation.from_euler("z", 90, degrees=True)
    assert (Rotation.from_rotvec(state[3:6]).inv() * turned).magnitude() < 1e-5
    assert gripper_opening(ROBOT, state) == pytest.approx(left - right, abs=1e-6)


@pytest.mark.parametrize(("opened", "closed"), [(-1.0, 1.0), (1.0, 0.0), (0.08, 0.0)])
def test_a_grippers_command_says_open_or_closed_whatever_its_numbers(opened, closed):
    *motions, gripper = ROBOT.action
    robot = replace(ROBOT, action=(*motions, replace(gripper, opened=opened, closed=closed)))
    assert gripper_command(robot, np.array([0] * 6 + [opened])) == pytest.approx(-1)
    assert gripper_command(robot, np.array([0] * 6 + [closed])) == pytest.approx(1)


@pytest.mark.parametrize(("said", "meant"), [("0.5", [0.5, 0.5]), ("[0.5, -0.25]", [0.5, -0.25])])
def test_what_counts_as_commanded_first_is_one_number_for_all_values_or_one_for_each(said, meant):
    text = JOINTED.replace("hold: measured, measured_by: arm", f"hold: last, initial: {said}")
    robot = contract_from_text(text, "robot.yaml")
    np.testing.assert_array_equal(initial_action(robot), np.float32(meant))
    assert contract_from_text(contract_to_text(robot), "again") == robot


def changed_state(**values):
    return replace(ROBOT, state=(replace(ROBOT.state[0], **values), *ROBOT.state[1:]))


@pytest.mark.parametrize(
    ("robot", "why"),
    [
        (ROBOT, ""),
        (ROBOT.with_cameras(("agentview", "eye_in_hand"), 480, 640), ""),
        (replace(ROBOT, name="other", max_horizon=8), ""),
        (ROBOT.with_cameras(("eye_in_hand",)), "needs camera 'agentview', and robot libero_panda has eye_in_hand"),
        (changed_state(frame=""), "the policy needs frame world, and robot libero_panda has none"),
        (changed_state(frame="base"), "state group 'eef_position': the policy needs frame world"),
        (replace(ROBOT, state=ROBOT.state[1:], workspace=None), "needs state group 'eef_position'"),
        (
            replace(ROBOT, action=ROBOT.action[:2]),
            "commands translation, rotation, gripper, and robot",
        ),
        (replace(ROBOT, rate=10.0), "made for 20 Hz, and robot libero_panda is controlled at 10 Hz"),
        (replace(ROBOT, max_horizon=7), "chunks have 8 actions, and robot libero_panda takes at most 7"),
    ],
)
def test_a_misfit_is_told_in_one_sentence(robot, why):
    told = misfit(ROBOT, ("agentview", "eye_in_hand"), 8, robot)
    assert (told == "") if not why else (why in told)

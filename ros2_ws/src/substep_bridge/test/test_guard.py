"""What the guard lets through and what it drops."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from substep_bridge.chunk_checks import Situation
from substep_bridge.guard import GuardSettings, SafetyGuard
from substep_bridge.moment import RobotMoment, moment_of
from substep_core.contract import (
    ActionGroup,
    ActionQuantity,
    Hold,
    JointLimit,
    Joints,
    JointSource,
    KeepOut,
    Pose,
    Readings,
    RobotContract,
    StateGroup,
    StateQuantity,
    load_robot,
)
from substep_core.protocol import ChunkReason, Reason

PANDA = load_robot("libero_panda")
BOX = PANDA.workspace
SETTINGS = GuardSettings(max_failures=3)
MIDDLE = np.array([0.0, 0.0, 0.3])
CAREFUL = replace(
    PANDA,
    workspace=replace(BOX, max_tilt=0.9, keep_out=(KeepOut("lamp", (0.1, 0.1, 0.0), (0.2, 0.2, 0.6)),)),
    joint_limits=tuple(
        JointLimit(f"robot0_joint{number}", low, high)
        for number, (low, high) in {2: (-1.8, 1.8), 4: (-3.1, -0.05)}.items()
    ),
)
UPRIGHT = np.array([np.pi, 0.0, 0.0])
BENT = {limit.name: (limit.low + limit.high) / 2 for limit in CAREFUL.joint_limits}


def moment(position=MIDDLE, rotation=UPRIGHT, **joints: float) -> RobotMoment:
    """The Panda, measured."""
    proprio = np.concatenate([np.zeros(3), rotation, [0.04, -0.04]]).astype(np.float32)
    return RobotMoment(0, proprio, np.asarray(position), {**BENT, **joints})


def judge(actions, age=0.0, robot=PANDA, last=None, guard=None, here=None) -> Reason[ChunkReason]:
    last = np.zeros(robot.action_width, np.float32) if last is None else last
    guard = guard or SafetyGuard(robot, SETTINGS)
    return guard.check(actions, Situation(age, here or moment(), last, last[None]))


horizons = st.integers(1, 16)
steady_actions = horizons.flatmap(
    lambda h: hnp.arrays(np.float32, 7, elements=st.floats(-1, 1, width=32)).map(lambda row: np.tile(row, (h, 1)))
)
valid_actions = horizons.flatmap(lambda h: hnp.arrays(np.float32, (h, 7), elements=st.floats(-1, 1, width=32)))


@given(steady_actions)
def test_whatever_libero_can_do_near_the_middle_is_safe(actions):
    actions = actions[:8]
    assert not judge(actions) or judge(actions).kind is ChunkReason.TILT


@given(valid_actions, st.data(), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_one_value_that_is_not_finite_drops_the_whole_chunk(actions, data, bad):
    step = data.draw(st.integers(0, len(actions) - 1))
    actions[step, data.draw(st.integers(0, 6))] = bad
    reason = judge(actions)
    assert reason.kind is ChunkReason.NOT_FINITE and f"action {step}" in reason.text


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=9), elements=st.just(0.0)))
def test_only_rows_of_seven_values_have_the_right_shape(actions):
    right = actions.ndim == 2 and actions.shape[1] == 7
    assert (judge(actions).kind is ChunkReason.SHAPE) is not right


def test_a_chunk_longer_than_allowed_is_dropped():
    reason = judge(np.zeros((65, 7)))
    assert reason.text == "shape: horizon 65, expected 1 to 64"


@given(st.floats(-10, 10))
def test_only_a_recent_observation_may_be_answered(age):
    reason = judge(np.zeros((1, 7)), age)
    assert reason.kind is (ChunkReason.NONE if 0 <= age <= SETTINGS.max_age else ChunkReason.AGE)


@given(valid_actions, hnp.arrays(np.float64, 3, elements=st.floats(-1.5, 1.5)))
def test_the_predicted_path_never_gets_out_of_the_workspace(actions, start):
    if judge(actions, here=moment(start)):
        return
    path = start + np.cumsum(actions[:, :3] * 0.05 * 0.25, axis=0)
    assert (path >= np.array(BOX.low) - 1e-6).all()
    assert (path <= np.array(BOX.high) + 1e-6).all()


def test_the_reason_names_the_step_and_the_axis_that_leave_the_workspace():
    actions = np.zeros((8, 7))
    actions[4:, 1] = 1.0
    reason = judge(actions, here=moment((0.0, 0.63, 0.3)))
    assert reason.text == "workspace: action 5 leads to y = 0.655 m, expected -0.650 to 0.650"


def test_a_path_through_a_keep_out_box_is_refused_though_no_step_ends_in_it():
    thin = KeepOut("pane", (0.121, -0.1, 0.0), (0.124, 0.1, 0.6))
    robot = replace(PANDA, workspace=replace(BOX, keep_out=(thin,)))
    actions = np.zeros((8, 7))
    actions[:, 0] = 1.0  # 0.0125 m a step
    reason = judge(actions, robot=robot, here=moment((0.07, 0.0, 0.3)))
    words = "workspace: action 4 leads from [0.12 0.   0.3 ] to [0.132 0.    0.3  ] m, expected out of 'pane'"
    assert reason.kind is ChunkReason.WORKSPACE and reason.text == words
    assert not judge(actions, robot=robot, here=moment((0.07, 0.2, 0.3))), "past its side"
    assert not judge(-actions, robot=robot, here=moment((0.07, 0.0, 0.3))), "away from it"


def test_the_reason_names_the_step_that_tilts_the_hand_too_far():
    actions = np.zeros((20, 7))
    actions[4:, 3] = 1.0  # 0.125 rad a step
    reason = judge(actions, robot=CAREFUL)
    assert reason.text == "tilt: action 11 tilts the end effector by 1.00 rad, expected at most 0.9"
    actions[:, 3], actions[:, 5] = 0.0, 1.0  # about the vertical
    assert not judge(actions, robot=CAREFUL)


@pytest.mark.parametrize(
    ("here", "words"),
    [
        (moment((0.51, 0.0, 0.3)), "workspace: the end effector is at x = 0.510 m, expected -0.550 to 0.500"),
        (moment((0.0, 0.0, -0.2)), "workspace: the end effector is at z = -0.200 m, expected -0.120 to 0.900"),
        (moment((0.15, 0.15, 0.3)), "workspace: the end effector is at [0.15 0.15 0.3 ] m, expected out of 'lamp'"),
        (moment((0.0, np.nan, 0.3)), "not finite: the end effector is at [0.  nan 0.3]"),
        (moment((np.inf, 0.0, 0.3)), "not finite: the end effector is at [inf 0.  0.3]"),
        (
            moment(rotation=(np.pi - 1.0, 0.0, 0.0)),
            "tilt: the end effector is tilted by 1.00 rad, expected at most 0.9",
        ),
        (moment(robot0_joint4=0.5), "joint limit: robot0_joint4 is at 0.500, expected -3.1 to -0.05"),
    ],
)
def test_a_robot_measured_beyond_a_limit_latches_the_guard(here, words):
    guard = SafetyGuard(CAREFUL, SETTINGS)
    assert not guard.watch(moment()) and guard.latched is None
    assert guard.watch(here).text == guard.latched == words
    guard.watch(moment())
    assert guard.latched == words, "until it is reset"
    guard.reset()
    assert guard.latched is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("what", ["pose", "joint"])
def test_a_measurement_that_is_not_finite_is_no_moment(value, what):
    pose = Pose(np.array([value if what == "pose" else 0.0, 0.0, 0.3]), np.array([1.0, 0.0, 0.0, 0.0]))
    joints = {**BENT, "gripper0_finger_joint1": 0.04, "gripper0_finger_joint2": -0.04}
    joints["robot0_joint4"] = value if what == "joint" else -2.0
    with pytest.raises(ValueError, match="finite"):
        moment_of(CAREFUL, 0, Readings({"eef_pose": pose}, {"joint_states": Joints(joints)}), np.zeros(3))


def alternating(steps: int, groups: slice) -> np.ndarray:
    actions = np.zeros((steps, 7))
    actions[::2, groups], actions[1::2, groups] = 1.0, -1.0
    return actions


@pytest.mark.parametrize("axes", [slice(0, 7), slice(0, 3), slice(3, 6), slice(0, 1), slice(2, 3), slice(5, 6)])
def test_commands_that_go_back_and_forth_are_refused(axes):
    reason = judge(alternating(16, axes))
    assert reason.kind is ChunkReason.CHANGE and re.search(r"within 0.5 s, expected at most (0.9|7)$", reason.text)
    assert not judge(alternating(4, axes).repeat(4, axis=0)), "a change of direction every fifth of a second"


@pytest.mark.parametrize("size", [1.0, 0.01])
def test_a_gripper_that_chatters_is_refused(size):
    """However small the command is: a gripper goes by its sign."""
    actions = np.zeros((16, 7))
    actions[:, 6] = np.tile([size, -size], 8)
    reason = judge(actions)
    words = "change: gripper turns between opening and closing 10 times within 0.5 s, expected at most 7"
    assert reason.text == words
    actions[:, 6] = np.repeat([size, -size], 8)
    actions[4, 6] = -size
    assert not judge(actions), "once, and an outlier before"


def test_going_back_and_forth_is_noticed_across_chunks():
    actions, guard = alternating(16, slice(0, 1)), SafetyGuard(PANDA, SETTINGS)
    one_by_one = [
        guard.check(actions[step : step + 1], Situation(0.0, moment(), actions[step - 1], actions[:step]))
        for step in range(1, 16)
    ]
    assert any(reason.kind is ChunkReason.CHANGE for reason in one_by_one)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.01, 0, 0, 0, 0, 0, 0], "range: translation 1.010, expected -1 to 1"),
        ([0.9, 0.9, 0, 0, 0, 0, 1], "speed: translation 0.0636 m in one step, expected at most 0.05"),
        ([0, 0, 0, 0.5, 0.5, 0, 0], "speed: rotation 0.3536 rad in one step, expected at most 0.3"),
    ],
)
def test_speed_is_limited_in_every_step(values, words):
    translation, rotation, gripper = PANDA.action
    slow = replace(PANDA, action=(replace(translation, max_step=0.05), replace(rotation, max_step=0.3), gripper))
    actions = np.zeros((3, 7))
    actions[2] = values
    assert judge(actions, robot=slow).text == words


@given(st.lists(st.booleans(), max_size=12))
def test_the_guard_latches_after_failures_in_a_row_until_it_is_reset(safe):
    guard = SafetyGuard(PANDA, SETTINGS)
    in_a_row, latched = 0, False
    for good in safe:
        judge(np.zeros((1, 7)) if good else np.full((1, 7), np.nan), guard=guard)
        in_a_row = 0 if good else in_a_row + 1
        latched = latched or in_a_row >= SETTINGS.max_failures
        assert (guard.latched is not None) is latched
    guard.reset()
    assert guard.latched is None


JOINTS = tuple(f"joint{number}" for number in range(3))
JOINT_ARM = RobotContract(
    name="joint_arm",
    rate=50.0,
    cameras=(),
    state=(StateGroup("joints", StateQuantity.JOINT_POSITION, "rad", JointSource(JOINTS)),),
    action=(
        ActionGroup(
            "joints",
            ActionQuantity.JOINT_POSITION,
            3,
            unit="rad",
            low=-2.0,
            high=2.0,
            max_step=0.1,
            hold=Hold.MEASURED,
            measured_by="joints",
            joints=JOINTS,
        ),
    ),
)


@given(
    hnp.arrays(np.float32, (6, 3), elements=st.floats(-2.5, 2.5, width=32)),
    hnp.arrays(np.float32, 3, elements=st.floats(-2, 2, width=32)),
)
def test_joints_never_leave_their_range_and_never_jump(actions, last):
    if judge(actions, robot=JOINT_ARM, last=last):
        return
    assert (np.abs(actions) <= 2.0 + 1e-3).all()
    assert (np.abs(np.diff(actions, axis=0, prepend=last[None])) <= 0.1 + 1e-6).all()


def test_a_jump_from_where_the_joints_are_is_refused_and_a_slow_motion_is_not():
    here = np.array([0.5, -0.5, 1.0], np.float32)
    assert judge(np.array([here + 0.05, here + 0.1]), robot=JOINT_ARM, last=here).kind is ChunkReason.NONE
    assert judge(np.array([here + 0.2]), robot=JOINT_ARM, last=here).text.startswith("speed: joints 0.2000 rad")


@pytest.mark.parametrize(("values", "name"), [({"max_failures": 0}, "max_failures"), ({"max_age": -0.1}, "max_age")])
def test_settings_that_make_no_sense_are_refused_by_name(values, name):
    with pytest.raises(ValueError, match=name):
        GuardSettings(**values)

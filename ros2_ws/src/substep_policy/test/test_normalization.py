"""Statistics, their file, and the way from LIBERO's actions to a model's and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from substep_core.contract import LIBERO_PANDA, ActionGroup, ActionQuantity, Hold, action_limits, load_robot
from substep_policy.models.normalization import (
    ActionNormalizer,
    DatasetStatistics,
    GripperConvention,
    Statistics,
    action_statistics,
    load_statistics,
    save_statistics,
)

ROBOT = load_robot(LIBERO_PANDA)
finite = st.floats(-1.0, 1.0, width=32)


@pytest.mark.parametrize("gripper", GripperConvention)
@given(actions=arrays(np.float32, (20, 7), elements=finite), closing=arrays(bool, 20))
def test_actions_come_back_from_the_models_range(gripper, actions, closing):
    actions[:, -1] = np.where(closing, 1.0, -1.0)
    normalizer = ActionNormalizer(ROBOT, gripper, action_statistics(actions, gripper, ROBOT))
    statistics = normalizer.statistics
    inside = np.clip(actions, [*statistics.q01[:-1], -1], [*statistics.q99[:-1], 1])
    encoded = normalizer.encode(inside)
    assert np.abs(encoded).max() <= 1.0 + 1e-6
    np.testing.assert_allclose(normalizer.decode(encoded), inside, atol=1e-5)


def test_gripper_is_left_unnormalised():
    actions = np.tile(np.array([0, 0, 0, 0, 0, 0, -1.0]), (10, 1))
    statistics = action_statistics(actions, GripperConvention.CLOSE_IS_ONE, ROBOT)
    assert statistics.mask.tolist() == [True] * 6 + [False]
    normalizer = ActionNormalizer(ROBOT, GripperConvention.CLOSE_IS_ONE, statistics)
    assert normalizer.encode(actions)[:, -1].tolist() == [-1.0] * 10


def test_gripper_of_openvla_is_one_when_open():
    assert GripperConvention.OPEN_IS_ONE.to_model(np.array([-1.0, 1.0]), ROBOT.gripper).tolist() == [1.0, 0.0]
    assert GripperConvention.OPEN_IS_ONE.to_robot(np.array([0.9, 0.1]), ROBOT.gripper).tolist() == [-1.0, 1.0]


def test_joints_keep_to_their_limits_and_each_gripper_opens_and_closes_in_its_own_values():
    """Two grippers that the vector has in the middle and at the end, in metres between the fingers."""
    arms = [
        ActionGroup(
            f"{side}_arm", ActionQuantity.JOINT_POSITION, 2, "rad", low=-3.0, high=2.0, hold=Hold.LAST, initial=0.0
        )
        for side in ("left", "right")
    ]
    grippers = [
        ActionGroup(f"{side}_gripper", ActionQuantity.GRIPPER, 1, opened=0.08, closed=0.0, hold=Hold.LAST, initial=0.08)
        for side in "lr"
    ]
    robot = replace(ROBOT, workspace=None, action=(arms[0], grippers[0], arms[1], grippers[1]))
    actions = np.random.default_rng(0).uniform(-4, 4, (100, 6))
    actions[:, [2, 5]] = np.where(actions[:, [2, 5]] > 0, 0.08, 0.0)
    for gripper in GripperConvention:
        statistics = action_statistics(actions, gripper, robot)
        assert statistics.mask.tolist() == [True, True, False] * 2
        normalizer = ActionNormalizer(robot, gripper, statistics.with_bounds(*action_limits(robot)))
        decoded = normalizer.decode(normalizer.encode(actions))
        np.testing.assert_allclose(decoded[:, [2, 5]], actions[:, [2, 5]], atol=1e-6)
        np.testing.assert_allclose(decoded[:, [0, 1, 3, 4]], np.clip(actions[:, [0, 1, 3, 4]], -3, 2), atol=1e-5)
        beyond = ActionNormalizer(robot, gripper, statistics).decode(np.full((1, 6), 5.0))
        assert beyond[0, [0, 1, 3, 4]].tolist() == [2.0] * 4


def test_quantiles_map_to_plus_and_minus_one_and_outliers_are_clipped():
    values = np.random.default_rng(0).normal(size=(1000, 2))
    statistics = Statistics.of(values)
    edges = statistics.normalize(np.stack([statistics.q01, statistics.q99, statistics.q99 + 5]))
    np.testing.assert_allclose(edges, [[-1, -1], [1, 1], [1, 1]], atol=1e-6)


def test_the_robots_limits_as_bounds_leave_actions_as_they_are_however_rare():
    actions = np.zeros((1000, 7))
    actions[:5, 3], actions[:, 6] = -1.0, 1.0
    statistics = action_statistics(actions, GripperConvention.CLOSE_IS_ONE, ROBOT)
    turning = np.array([0.1, -0.2, 0.3, -1.0, 0.5, 1.0, 1.0])
    assert statistics.normalize(turning)[3] != -1.0  # cut off: 99 % of all motions do not turn
    assert statistics.with_bounds(*action_limits(ROBOT)).normalize(turning) == pytest.approx(turning)
    assert statistics.with_bounds(*action_limits(ROBOT)).unnormalize(turning) == pytest.approx(turning)


def test_statistics_survive_their_file(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(50, 3))
    statistics = DatasetStatistics(Statistics.of(values, [True, True, False]), Statistics.of(values), 50, 2)
    save_statistics(tmp_path, "libero_goal", statistics)
    loaded = load_statistics(tmp_path)
    assert loaded.num_transitions == 50 and loaded.num_trajectories == 2
    assert loaded.action.mask.tolist() == [True, True, False]
    np.testing.assert_array_equal(loaded.action.q99, statistics.action.q99)


def test_statistics_of_openvla_without_masks_are_read(tmp_path: Path):
    part = {field: [0.0, 1.0] for field in ("mean", "std", "min", "max", "q01", "q99")}
    (tmp_path / "dataset_statistics.json").write_text(json.dumps({"a": {"action": part, "proprio": part}}))
    assert load_statistics(tmp_path, "a").proprio.mask.tolist() == [True, True]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ({"a": {}, "b": {}}, None, "several data sets, .*: choose one of 'a', 'b'"),
        ({"a": {}}, "c", "not of 'c'"),
        ({"a": {"action": {}}}, "a", "lack|has no"),
        ({"a": {"action": {"mean": [1]}, "proprio": {}}}, "a", "a/action: statistics lack std, min"),
    ],
)
def test_wrong_statistics_are_refused_with_their_place(tmp_path: Path, content, name, message):
    (tmp_path / "dataset_statistics.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        load_statistics(tmp_path, name)


@pytest.mark.parametrize("change", [{"mask": None}, {"mask": "yes"}, {"mask": [0.5, 1.0]}, {"q01": [2.0, 2.0]}])
def test_a_part_that_is_none_is_refused_with_its_place(tmp_path: Path, change: dict):
    part = {field: [0.0, 1.0] for field in ("mean", "std", "min", "max", "q01", "q99")}
    content = {"a": {"action": part | change, "proprio": part}}
    (tmp_path / "dataset_statistics.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"dataset_statistics.json: a/action: {next(iter(change))}"):
        load_statistics(tmp_path)


@pytest.mark.parametrize("count", ["null", "[]", "1e999", '"x"', "-1"])
def test_a_count_that_is_none_is_refused_with_its_place(tmp_path: Path, count: str):
    part = {field: [0.0, 1.0] for field in ("mean", "std", "min", "max", "q01", "q99")}
    text = json.dumps({"a": {"action": part, "proprio": part, "num_transitions": 7}})
    (tmp_path / "dataset_statistics.json").write_text(text.replace("7", count))
    with pytest.raises(ValueError, match="dataset_statistics.json: a: num_transitions is"):
        load_statistics(tmp_path)


def test_unequal_lengths_and_empty_data_are_refused():
    data = Statistics.of(np.zeros((3, 2))).to_json() | {"q01": [0.0]}
    with pytest.raises(ValueError, match="unequal lengths"):
        Statistics.from_json(data, "here")
    with pytest.raises(ValueError, match="finite"):
        Statistics.of(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="finite"):
        Statistics.of(np.zeros((0, 2)))

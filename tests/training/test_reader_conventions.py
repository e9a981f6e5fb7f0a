"""Actions that mean something else than the robot's contract says are refused or turned into what it says."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.training.toy import ROBOT, ToyDemo, write_hdf5
from training.data.readers import DemonstrationError, LiberoHdf5Source, ReadReport, read_demonstrations

ZERO_CLOSES = {"opened": 1.0, "closed": 0.0}


def gripper(values: np.ndarray) -> np.ndarray:
    """−1 open, 1 closed -> 1 open, 0 closed."""
    return (1 - values) / 2


@pytest.fixture
def demos() -> list[ToyDemo]:
    return [ToyDemo(30, seed) for seed in range(2)]


def read(folder: Path, demos: list[ToyDemo], **settings) -> list[np.ndarray]:
    """Actions of demonstrations that are stored so, read with these settings of the source."""
    write_hdf5(folder / "libero_goal", demos)
    source = LiberoHdf5Source(path=folder, **settings)
    return [demo.actions for demo in read_demonstrations([source], ROBOT, ReadReport())]


def test_a_gripper_that_zero_closes_is_noticed_and_can_be_said(tmp_path: Path, demos: list[ToyDemo]):
    expected = [demo.actions.copy() for demo in demos]
    for demo in demos:
        demo.actions[:, 6] = gripper(demo.actions[:, 6])
    with pytest.raises(DemonstrationError, match="group gripper has 0 and 1 alone; the robot opens with -1"):
        read(tmp_path, demos)
    for found, actions in zip(read(tmp_path, demos, gripper=ZERO_CLOSES), expected, strict=True):
        np.testing.assert_allclose(found, actions, atol=1e-6)


def test_a_gripper_the_other_way_round_shows_in_the_fingers(tmp_path: Path, demos: list[ToyDemo]):
    for demo in demos:
        demo.actions[:, 6] *= -1
    with pytest.raises(DemonstrationError, match="mm further apart where action group gripper closes them"):
        read(tmp_path, demos)
    assert read(tmp_path, demos, gripper={"opened": 1.0, "closed": -1.0})[0][0, 6] == -1


@pytest.mark.parametrize("values", [[0.0, 255.0], [-3.0, 1.0]])
def test_gripper_values_beyond_open_and_closed_are_refused(tmp_path: Path, demos: list[ToyDemo], values: list[float]):
    demos[0].actions[:, 6] = np.where(demos[0].actions[:, 6] > 0, *values)
    with pytest.raises(DemonstrationError, match="group gripper has values from .* the robot takes -1 to 1"):
        read(tmp_path, demos)


def test_a_gripper_that_stays_open_or_closes_halfway_is_as_it_should_be(tmp_path: Path, demos: list[ToyDemo]):
    demos[0].actions[:, 6] = -1
    demos[1].actions[:, 6] = np.linspace(-1, 0, 30)
    assert len(read(tmp_path, demos)) == 2


def test_actions_beyond_the_robots_limits_are_refused_or_cut_off(tmp_path: Path, demos: list[ToyDemo]):
    demos[1].actions[3, 1] = 1.7
    with pytest.raises(DemonstrationError, match="demo_1.*translation has values from .* to 1.7, .*clip_actions: true"):
        read(tmp_path, demos)
    assert read(tmp_path, demos, clip_actions=True)[1][3, 1] == 1


def test_disturbances_are_not_what_the_robot_is_to_do(tmp_path: Path, demos: list[ToyDemo]):
    path = write_hdf5(tmp_path / "libero_goal", demos)
    with h5py.File(path, "a") as file:
        for group in file["data"].values():
            group["actions"][4, 0] = 1.5
            group["taught"] = np.arange(30) != 4
    source = LiberoHdf5Source(path=tmp_path)
    assert len(list(read_demonstrations([source], ROBOT, ReadReport()))) == 2

"""Training on a robot with two arms, two grippers and three cameras: nothing of LIBERO's arm is left in the way."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
import yaml

from substep_core.contract import RobotContract, contract_from_text, contract_to_text, load_robot
from substep_core.observation import Observation
from substep_policy.registry import POLICIES, PolicySettings
from tests.training.conftest import TOY_MODEL
from tests.training.toy import ROBOT
from training.data.frame_cache import DemonstrationStore, StoreError, StoreFormat
from training.data.readers import DemonstrationError, LeRobotSource
from training.labels.segmentation import SegmentationError, segment
from training.train.config import read_config
from training.train.finetune_substep import finetune

CAMERAS = ("front", "left_hand", "right_hand")
LENGTH = 12
TWO_ARMS = """
name: two_arms
rate: 30
cameras:
  - {name: front, role: scene, height: 16, width: 16, frame: front_optical_frame}
  - {name: left_hand, role: wrist, height: 16, width: 16, frame: left_optical_frame}
  - {name: right_hand, role: wrist, height: 16, width: 16, frame: right_optical_frame}
state:
  - {name: left, quantity: joint_position, unit: rad, source: {type: joints, names: [l1, l2, l3, l4, l5, l6, l7]}}
  - {name: right, quantity: joint_position, unit: rad, source: {type: joints, names: [r1, r2, r3, r4, r5, r6, r7]}}
action:
  - {name: left_arm, quantity: joint_position, width: 6, unit: rad, low: -3.0, high: 3.0, hold: last, initial: 0.0}
  - {name: left_gripper, quantity: gripper, width: 1, opened: 0.08, closed: 0.0, hold: last, initial: 0.08}
  - {name: right_arm, quantity: joint_position, width: 6, unit: rad, low: -3.0, high: 3.0, hold: last, initial: 0.0}
  - {name: right_gripper, quantity: gripper, width: 1, opened: 0.08, closed: 0.0, hold: last, initial: 0.08}
"""


@pytest.fixture
def robot() -> RobotContract:
    return contract_from_text(TWO_ARMS, "here")


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """Three demonstrations in LeRobot's format, with keys of its own."""
    folder, random = tmp_path / "two_arms_data", np.random.default_rng(0)
    info = {
        "codebase_version": "v3.0",
        "fps": 30,
        "total_episodes": 3,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "features": {f"images.{camera}": {"dtype": "image"} for camera in CAMERAS},
    }
    for part in ("meta/episodes/chunk-000", "data/chunk-000"):
        (folder / part).mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(info))
    rows, episodes = [], []
    for number in range(3):
        place = {"data/chunk_index": 0, "data/file_index": 0}
        episodes.append({"episode_index": number, "tasks": ["fold the towel"], "length": LENGTH, **place})
        for _ in range(LENGTH):
            action = random.uniform(-1, 1, 14)
            action[[6, 13]] = random.choice([0.0, 0.08], 2)
            row = {"episode_index": number, "action": action.tolist()}
            row |= {f"joints.{side}": random.uniform(-1, 1, 7).tolist() for side in ("left", "right")}
            for camera in CAMERAS:
                image = random.integers(0, 255, (16, 16, 3), np.uint8)
                row[f"images.{camera}"] = {"bytes": cv2.imencode(".png", image)[1].tobytes(), "path": None}
            rows.append(row)
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "data/chunk-000/file-000.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(episodes), folder / "meta/episodes/chunk-000/file-000.parquet")
    return folder


def source_of(data_set: Path, **changes) -> LeRobotSource:
    source = LeRobotSource(
        path=data_set,
        orientation="upright",
        cameras={camera: (f"images.{camera}",) for camera in CAMERAS},
        state={"left": "joints.left", "right": "joints.right"},
    )
    return dataclasses.replace(source, **changes)


def test_a_policy_of_two_arms_is_trained_from_its_own_keys_and_says_whom_it_is_for(
    robot: RobotContract, data_set: Path, tmp_path: Path
):
    (tmp_path / "two_arms.yaml").write_text(contract_to_text(robot))
    source = {"type": "lerobot", "path": str(data_set), "orientation": "upright", "state": source_of(data_set).state}
    content = {
        "out": str(tmp_path / "run"),
        "data": {
            "robot": str(tmp_path / "two_arms.yaml"),
            "sources": [source | {"cameras": {camera: [f"images.{camera}"] for camera in CAMERAS}}],
            "cache": str(tmp_path / "cache"),
            "held_out_every": 0,
            "workers": 0,
            "action_bounds": "limits",
        },
        "model": TOY_MODEL | {"chunk_length": 5},
        "optimizer": {"batch_size": 4},
        "steps": 2,
        "distribution_batches": 0,
    }
    path = tmp_path / "two_arms_training.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match="keyframe_weight is 0.5, and robot two_arms has no end effector position"):
        read_config(path, ["keyframe_weight=0.5"])
    folder = finetune(read_config(path))
    policy = POLICIES.load(str(folder), PolicySettings(device="cpu", eos_threshold=1.0))
    assert (policy.robot, policy.cameras, policy.horizon) == (robot, CAMERAS, 5)
    policy.start_substep("fold the towel", "")
    images = {camera: np.zeros((16, 16, 3), np.uint8) for camera in CAMERAS}
    actions = policy.predict(Observation(images, np.zeros(14, np.float32))).actions
    assert actions.shape == (5, 14)
    assert set(actions[:, [6, 13]].flatten().round(6).tolist()) <= {0.0, np.float32(0.08).round(6).item()}
    with pytest.raises(ValueError, match="model.robot learns from data.robot.*state groups eef_position"):
        read_config(path, ["model.robot=libero_panda"])


def test_keys_that_do_not_fit_the_robot_are_named(robot: RobotContract, data_set: Path):
    (first, *_) = source_of(data_set).read(robot)
    assert first.proprio.shape == (LENGTH, 14) and set(first.frames()) == set(CAMERAS)
    with pytest.raises(DemonstrationError, match="camera left_hand of robot two_arms would share the key .*`cameras`"):
        list(source_of(data_set, cameras=None).read(robot))
    with pytest.raises(DemonstrationError, match="cameras names top; robot two_arms has front, left_hand, right_hand"):
        list(source_of(data_set, cameras={"top": ("images.front",)}).read(robot))
    (error, *_) = source_of(data_set, state={"left": "joints.left"}).read(robot)
    assert "state has keys of left, expected left, right" in str(error)
    (error, *_) = source_of(data_set, state={"left": "joints.left", "right": "action"}).read(robot)
    assert "action has (14,) values a timestep, group right has 7" in str(error)


def test_a_cache_of_another_robot_is_refused(robot: RobotContract, tmp_path: Path):
    DemonstrationStore(tmp_path, StoreFormat(ROBOT, (), 16))
    faster = dataclasses.replace(ROBOT, rate=30.0)
    for other, why in ((robot, "state groups left, right"), (faster, "30 Hz")):
        with pytest.raises(StoreError, match=f"holds another robot's demonstrations: .*{why}"):
            DemonstrationStore(tmp_path, StoreFormat(other, (), 16))
    DemonstrationStore(tmp_path, StoreFormat(dataclasses.replace(load_robot("libero_panda"), max_horizon=8), (), 16))


def test_substeps_of_a_robot_without_an_end_effector_position_are_not_guessed(robot: RobotContract):
    with pytest.raises(SegmentationError, match="two_arms has no end effector position: .*labelled in another way"):
        segment(robot, np.zeros((LENGTH, 14)), np.zeros((LENGTH, 14)), "fold the towel", ())

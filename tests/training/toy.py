"""Toy demonstrations: random frames, a hand that picks and places, and files of every format made from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import h5py
import imageio.v3 as iio
import numpy as np
import pyarrow
import pyarrow.parquet as parquet

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.plan import Substep
from tests.training.data_sets import record, serialize_example
from training.data.frame_cache import StoreFormat
from training.labels.file import SubstepLabels, labels_from_boundaries

INSTRUCTION = "put the bowl on the plate"
TASK = "put_the_bowl_on_the_plate"
SUBSTEPS = (
    Substep("pick up the bowl", "the bowl is held above the table"),
    Substep("place the bowl on the plate", "the bowl is on the plate"),
)
SIZE = 16
ROBOT = load_robot(LIBERO_PANDA)


class ToyDemo:
    """A pick and place of T timesteps: reach, close at a third, lift, carry, open at two thirds, go up."""

    def __init__(self, length: int = 30, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        third = length // 3
        self.length = length
        self.actions = random.uniform(-0.1, 0.1, (length, 7))
        self.actions[:, :6] += np.repeat([[0.7], [-0.7], [0.3]], [third, third, length - 2 * third], axis=0)
        self.actions[:, 6] = -1
        self.actions[third : 2 * third, 6] = 1
        height = np.concatenate(
            [np.linspace(0.3, 0.1, third), np.linspace(0.1, 0.3, third), np.linspace(0.12, 0.4, length - 2 * third)]
        )
        position = np.stack([np.linspace(-0.1, 0.1, length), np.zeros(length), height], axis=1)
        orientation = np.tile([3.1, 0.0, 0.05], (length, 1))
        fingers = np.where(self.actions[:, 6:] > 0, 0.01, 0.04) * [1, -1]
        self.proprio = np.concatenate([position, orientation, fingers], axis=1).astype(np.float32)
        # Upright and lopsided, so that a wrong turn shows.
        self.frames = {
            camera: np.repeat(np.repeat(random.integers(0, 255, (length, 4, 4, 3), np.uint8), 4, 1), 4, 2)
            for camera in ("agentview", "eye_in_hand")
        }


DEMOS = [ToyDemo(20, seed=1), ToyDemo(12, seed=2)]  # what the fixture ``store`` holds
FORMAT = StoreFormat(ROBOT, ("agentview", "eye_in_hand"), SIZE)


def write_hdf5(folder: Path, demos: Sequence[ToyDemo], task: str = TASK, instruction: str = INSTRUCTION) -> Path:
    """LIBERO's file, ``demo_0`` to ``demo_N``, frames upside down as robosuite stores them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{task}_demo.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["problem_info"] = json.dumps({"language_instruction": instruction})
        for number, demo in enumerate(demos):
            group = data.create_group(f"demo_{number}")
            group["actions"] = demo.actions
            obs = group.create_group("obs")
            parts = {
                "ee_pos": demo.proprio[:, :3],
                "ee_ori": demo.proprio[:, 3:6],
                "gripper_states": demo.proprio[:, 6:],
            }
            for name, values in parts.items():
                obs[name] = values.astype(np.float64)
            for camera, frames in demo.frames.items():
                obs[f"{camera}_rgb"] = frames[:, ::-1]
    return path


def write_rlds(folder: Path, demos: Sequence[ToyDemo], instructions: Sequence[str], name: str = "libero_goal_no_noops"):
    """A TFDS folder with two shards, frames as PNG after a half turn of what robosuite stores."""
    version = folder / name / "1.0.0"
    version.mkdir(parents=True)
    tensor = {"tensor": {"shape": {"dimensions": ["7"]}, "dtype": "float32"}}
    state = {"tensor": {"shape": {"dimensions": ["8"]}, "dtype": "float32"}}
    observation = {"featuresDict": {"features": {"state": state, "image": {"image": {}}, "wrist_image": {"image": {}}}}}
    step = {"featuresDict": {"features": {"action": tensor, "observation": observation}}}
    features = {"featuresDict": {"features": {"steps": {"sequence": {"feature": step}}}}}
    (version / "features.json").write_text(json.dumps(features))
    for shard in range(2):
        with (version / f"{name}-train.tfrecord-{shard:05d}-of-00002").open("wb") as file:
            for demo, instruction in list(zip(demos, instructions, strict=True))[shard::2]:
                file.write(record(_example(demo, instruction)))
    return folder / name


def _example(demo: ToyDemo, instruction: str) -> bytes:
    def encoded(camera: str) -> list[bytes]:
        return [cv2.imencode(".png", frame[:, ::-1, ::-1])[1].tobytes() for frame in demo.frames[camera]]

    return serialize_example(
        {
            "steps/action": demo.actions.astype(np.float32).flatten().tolist(),
            "steps/observation/state": demo.proprio.flatten().tolist(),
            "steps/observation/image": encoded("agentview"),
            "steps/observation/wrist_image": encoded("eye_in_hand"),
            "steps/language_instruction": [instruction.encode()] * demo.length,
        }
    )


def write_lerobot(
    folder: Path,
    demos: Sequence[ToyDemo],
    instruction: str = INSTRUCTION,
    video: bool = True,
    encoder: Sequence[str] = (),
) -> Path:
    """A LeRobot v3 folder: all episodes in one table and one video a camera, frames upright.

    Args:
        encoder: options of ffmpeg for the videos.
    """
    keys = {"agentview": "observation.images.image", "eye_in_hand": "observation.images.wrist_image"}
    info = {
        "codebase_version": "v3.0",
        "fps": 20,
        "total_episodes": len(demos),
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {key: {"dtype": "video" if video else "image"} for key in keys.values()},
    }
    (folder / "meta/episodes/chunk-000").mkdir(parents=True)
    (folder / "data/chunk-000").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(info))
    rows, episodes, first = [], [], 0
    for number, demo in enumerate(demos):
        for step in range(demo.length):
            row = {"episode_index": number, "action": demo.actions[step].tolist()}
            row["observation.state"] = demo.proprio[step].tolist()
            if not video:
                for camera, key in keys.items():
                    png = cv2.imencode(".png", demo.frames[camera][step][:, :, ::-1])[1].tobytes()
                    row[key] = {"bytes": png, "path": None}
            rows.append(row)
        episode = {"episode_index": number, "tasks": [instruction], "length": demo.length}
        episode |= {"data/chunk_index": 0, "data/file_index": 0}
        for key in keys.values():
            times = {"from_timestamp": first / 20, "to_timestamp": (first + demo.length) / 20}
            episode |= {f"videos/{key}/{name}": value for name, value in times.items()}
            episode |= {f"videos/{key}/chunk_index": 0, f"videos/{key}/file_index": 0}
        episodes.append(episode)
        first += demo.length
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "data/chunk-000/file-000.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(episodes), folder / "meta/episodes/chunk-000/file-000.parquet")
    for camera, key in keys.items():
        if video:
            path = folder / f"videos/{key}/chunk-000/file-000.mp4"
            path.parent.mkdir(parents=True)
            frames = np.concatenate([demo.frames[camera] for demo in demos])
            options = {"codec": "libx264", "quality": 10, "macro_block_size": None, "output_params": list(encoder)}
            iio.imwrite(path, frames, fps=20, plugin="FFMPEG", **options)
    return folder


def true_labels(demos: Sequence[ToyDemo], suite: str = "libero_goal", task: str = TASK) -> SubstepLabels:
    """Labels with a boundary in the middle of each demonstration."""
    labels = SubstepLabels()
    for number, demo in enumerate(demos):
        ends = [demo.length // 2, demo.length - 1]
        entry = labels_from_boundaries(INSTRUCTION, SUBSTEPS, ends, np.zeros(demo.length, int))
        labels.add(suite, task, f"episode_{number}", entry)
    return labels

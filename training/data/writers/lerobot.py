"""LeRobot v3 data sets: Parquet tables and a video of each episode and camera, without importing lerobot.

Source of the layout: lerobot 0.6 (``datasets/utils.py``, ``dataset_metadata.py``). Frames are upright. Substeps are in
the column ``subtask_index``, whose texts are in ``meta/subtasks.parquet``; -1: the timestep belongs to none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pyarrow
import pyarrow.parquet as parquet

from substep_core.contract import RobotContract
from training.data.readers import DataSource, Demonstration, ReadReport, read_demonstrations
from training.data.writers.source_labels import source_labels
from training.labels.file import UNLABELLED, EpisodeLabels

VERSION = "v3.0"
FILES_IN_CHUNK = 1000
STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
SUBTASKS = "subtask_index"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
QUALITY = ("-crf", "18", "-g", "2")  # LeRobot seeks to single frames, so every second one stands for itself


def write_lerobot(source: DataSource, robot: RobotContract, out: Path) -> int:
    """Write all demonstrations of a source; -> number of episodes.

    Raises:
        ValueError: ``out`` holds something, the robot's rate is no whole number, or there is no demonstration.
        DemonstrationError: the source cannot be read, or has not the cameras of the robot.
    """
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} holds something already: choose a new folder")
    if robot.rate != int(robot.rate):
        raise ValueError(f"robot {robot.name} has {robot.rate:g} control steps a second, LeRobot takes whole numbers")
    labels = source_labels(source)
    writer = _Writer(out, robot)
    for demonstration in read_demonstrations([source], robot, ReadReport(), skip_damaged=False):
        writer.add(demonstration, demonstration.labels or labels.find(*_place(demonstration)))
    return writer.close()


def _place(demonstration: Demonstration) -> tuple[str, str, str]:
    return demonstration.suite, demonstration.task, demonstration.episode


@dataclass
class _Writer:
    out: Path
    robot: RobotContract
    episodes: list[dict[str, Any]] = field(default_factory=list)
    tasks: dict[str, int] = field(default_factory=dict)
    subtasks: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    frames: int = 0
    values: dict[str, list[np.ndarray]] = field(default_factory=lambda: {STATE: [], ACTION: []})

    def add(self, demonstration: Demonstration, labels: EpisodeLabels | None) -> None:
        number, length = len(self.episodes), len(demonstration)
        place = {"chunk_index": number // FILES_IN_CHUNK, "file_index": number % FILES_IN_CHUNK}
        task = self.tasks.setdefault(demonstration.instruction, len(self.tasks))
        columns = {
            ACTION: demonstration.actions.astype(np.float32),
            STATE: demonstration.proprio.astype(np.float32),
            "timestamp": (np.arange(length) / self.robot.rate).astype(np.float32),
            "frame_index": np.arange(length),
            "episode_index": np.full(length, number),
            "index": np.arange(self.frames, self.frames + length),
            "task_index": np.full(length, task),
            SUBTASKS: self._subtasks(labels, length),
        }
        _write_table(self.out / DATA_PATH.format(**place), columns)
        row = {"episode_index": number, "tasks": [demonstration.instruction], "length": length}
        row |= {f"data/{name}": value for name, value in place.items()}
        row |= {"dataset_from_index": self.frames, "dataset_to_index": self.frames + length}
        for camera, images in demonstration.frames().items():
            key = f"{IMAGES}{camera}"
            self.sizes[key] = images.shape[1:3]
            _write_video(self.out / VIDEO_PATH.format(video_key=key, **place), images, int(self.robot.rate))
            span = {"from_timestamp": 0.0, "to_timestamp": length / self.robot.rate}
            row |= {f"videos/{key}/{name}": value for name, value in (place | span).items()}
        self.episodes.append(row | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
        self.frames += length
        for name in self.values:
            self.values[name].append(columns[name])

    def close(self) -> int:
        """Write what tells of the whole. Raises: ValueError: there is nothing."""
        if not self.episodes:
            raise ValueError("there is no demonstration to write")
        meta = self.out / "meta"
        path = meta / "episodes/chunk-000/file-000.parquet"
        path.parent.mkdir(parents=True)
        parquet.write_table(pyarrow.Table.from_pylist(self.episodes), path)
        _write_texts(meta / "tasks.parquet", "task", "task_index", self.tasks)
        _write_texts(meta / "subtasks.parquet", "subtask", SUBTASKS, self.subtasks)
        (meta / "info.json").write_text(json.dumps(self._info(), indent=4) + "\n", encoding="utf-8")
        stats = {name: _stats(np.concatenate(values)) for name, values in self.values.items()}
        (meta / "stats.json").write_text(json.dumps(stats, indent=4) + "\n", encoding="utf-8")
        return len(self.episodes)

    def _subtasks(self, labels: EpisodeLabels | None, length: int) -> np.ndarray:
        """(length,) number of the text of each timestep's substep; -1 where it has none."""
        if labels is None or len(labels) != length:
            return np.full(length, UNLABELLED)
        numbers = [self.subtasks.setdefault(item.instruction, len(self.subtasks)) for item in labels.substeps]
        return np.array([numbers[index] if index != UNLABELLED else UNLABELLED for index in labels.substep_index])

    def _info(self) -> dict[str, Any]:
        count = len(self.episodes)
        return {
            "codebase_version": VERSION,
            "robot_type": self.robot.name,
            "total_episodes": count,
            "total_frames": self.frames,
            "total_tasks": len(self.tasks),
            "chunks_size": FILES_IN_CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 500,
            "fps": int(self.robot.rate),
            "splits": {"train": f"0:{count}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH,
            "features": dict(self._features()),
        }

    def _features(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for name, groups in ((STATE, self.robot.state), (ACTION, self.robot.action)):
            names = [f"{group.name}_{place}" for group in groups for place in range(group.width)]
            yield name, {"dtype": "float32", "shape": [len(names)], "names": names}
        for key, (height, width) in self.sizes.items():
            video = {"height": height, "width": width, "codec": "h264", "pix_fmt": "yuv420p", "channels": 3}
            info = {f"video.{name}": value for name, value in video.items()}
            info |= {"video.fps": int(self.robot.rate), "video.is_depth_map": False, "has_audio": False}
            names = ["height", "width", "channels"]
            yield key, {"dtype": "video", "shape": [height, width, 3], "names": names, "info": info}
        yield "timestamp", {"dtype": "float32", "shape": [1], "names": None}
        for name in ("frame_index", "episode_index", "index", "task_index", SUBTASKS):
            yield name, {"dtype": "int64", "shape": [1], "names": None}


def _write_table(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    arrays = {}
    for name, values in columns.items():
        flat = pyarrow.array(values.reshape(-1))
        arrays[name] = flat if values.ndim == 1 else pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(arrays), path)


def _write_video(path: Path, images: np.ndarray, rate: int) -> None:
    """(T, H, W, 3) uint8 RGB, upright. Raises: ValueError: the size is odd, which H.264 does not take."""
    height, width = images.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(f"frames of {height} x {width} pixels cannot be a video of LeRobot: expected even numbers")
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"codec": "libx264", "macro_block_size": None, "quality": None, "output_params": list(QUALITY)}
    iio.imwrite(path, images, fps=rate, plugin="FFMPEG", **options)


def _write_texts(path: Path, text: str, number: str, texts: Mapping[str, int]) -> None:
    """A table that pandas reads with the texts as its index, as LeRobot expects it."""
    table = pyarrow.table({number: pyarrow.array(list(texts.values()), pyarrow.int64()), text: list(texts)})
    kinds = {number: ("int64", "int64"), text: ("unicode", "object")}
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_kind, "metadata": None}
        for name, (kind, numpy_kind) in kinds.items()
    ]
    pandas = {"index_columns": [text], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    parquet.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path)


def _stats(values: np.ndarray) -> dict[str, Any]:
    """Of (N, n) values, as LeRobot keeps them beside the data."""
    found = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
    quantiles = {f"q{share:02d}": np.quantile(values, share / 100, axis=0) for share in (1, 10, 50, 90, 99)}
    return {name: array.tolist() for name, array in (found | quantiles).items()} | {"count": [len(values)]}

"""LeRobot v3 data sets: Parquet tables and MP4 files (or images inside the tables), without importing lerobot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import imageio.v3 as iio
import numpy as np
import pyarrow
import pyarrow.parquet as parquet

from substep_policy.configuration import configuration
from training.demonstrations.demonstration import (
    Demonstration,
    DemonstrationError,
    EpisodeNumbers,
    FrameOrigin,
    all_taught,
    located,
    stack_images,
)
from training.demonstrations.orientation import ImageOrientation
from training.demonstrations.rlds import decode_image

Frames = Mapping[str, np.ndarray]


@configuration
class LeRobotSource:
    """A data set folder with ``meta/info.json``.

    Attributes:
        suite: of the labels; None: the folder's name.
        cameras: this project's camera name -> the data set's key. The first that exists counts.
        orientation: data sets converted from ``modified_libero_rlds`` are mirrored.
        collection: tells these demonstrations from those of other sources of the same tasks.
        labels: their ``substep_labels.json``; None: the one of the whole configuration.
    """

    path: Path
    type: Literal["lerobot"] = "lerobot"
    suite: str | None = None
    cameras: dict[str, tuple[str, ...]] | None = None
    state: str = "observation.state"
    action: str = "action"
    orientation: ImageOrientation = ImageOrientation.HALF_TURN_OF_OPENGL
    collection: str = ""
    labels: Path | None = None


DEFAULT_CAMERAS = {
    "agentview": ("observation.images.image", "observation.images.agentview", "observation.images.front"),
    "eye_in_hand": ("observation.images.wrist_image", "observation.images.image2", "observation.images.wrist"),
}


def read(source: LeRobotSource) -> Iterator[Demonstration | DemonstrationError]:
    """Every demonstration, or in its place the error that says why it cannot be had.

    Raises:
        DemonstrationError: episodes come after one without a task, which leaves open which number they have.
    """
    info = _read_info(source.path)
    episodes = _rows(sorted(source.path.glob("meta/episodes/*/*.parquet")), source.path / "meta/episodes")
    numbers = EpisodeNumbers()
    for episode in sorted(episodes, key=lambda row: row["episode_index"]):
        where = f"{source.path}: episode {episode['episode_index']}"
        if not episode.get("tasks"):
            damage = f"{where}: meta/episodes names no task"
            numbers.lose(damage)
            yield DemonstrationError(damage)
            continue
        instruction = str(episode["tasks"][0]).strip().lower()
        name = numbers.take(instruction, where)
        try:
            yield _read_episode(source, info, episode, instruction, name, where)
        except (OSError, KeyError, ValueError, pyarrow.ArrowException) as error:
            yield located(error, where)


def _read_episode(
    source: LeRobotSource, info: dict, episode: dict[str, Any], instruction: str, name: str, where: str
) -> Demonstration:
    location = {part: episode[f"data/{part}"] for part in ("chunk_index", "file_index")}
    path = source.path / info["data_path"].format(**location)
    table = parquet.read_table(path, filters=[("episode_index", "=", episode["episode_index"])])
    if len(table) != episode["length"]:
        raise DemonstrationError(f"{path} has {len(table)} rows, meta/episodes says {episode['length']}")
    actions, proprio = _matrix(table, source.action), _matrix(table, source.state)
    return Demonstration(
        suite=source.suite or source.path.name,
        task=instruction.replace(" ", "_"),
        episode=name,
        instruction=instruction,
        actions=actions,
        proprio=proprio,
        taught=all_taught(len(actions)),
        load_frames=partial(_load_frames, source, info, episode, path, where),
        frame_origin=FrameOrigin(source.orientation),
        source=where,
    )


def _load_frames(source: LeRobotSource, info: dict, episode: dict[str, Any], table_path: Path, where: str) -> Frames:
    frames = {}
    for camera, keys in (source.cameras or DEFAULT_CAMERAS).items():
        key = next((key for key in keys if key in info["features"]), None)
        if key is None:
            continue
        if info["features"][key]["dtype"] == "video":
            images = _video_frames(source.path, info, episode, key, where)
        else:
            images = _table_frames(table_path, episode["episode_index"], key, where)
        frames[camera] = source.orientation.to_upright(images)
    return frames


def _video_frames(root: Path, info: dict, episode: dict[str, Any], key: str, where: str) -> np.ndarray:
    """The episode's part of the MP4 it shares with others."""
    location = {part: episode[f"videos/{key}/{part}"] for part in ("chunk_index", "file_index")}
    path = root / info["video_path"].format(video_key=key, **location)
    first = round(episode[f"videos/{key}/from_timestamp"] * info["fps"])
    frames = []
    try:
        for index, frame in enumerate(iio.imiter(path, plugin="FFMPEG")):
            if index >= first + episode["length"]:
                break
            if index >= first:
                frames.append(frame)
    except (OSError, RuntimeError, ValueError) as error:
        raise DemonstrationError(f"{where}: {path} cannot be decoded: {error}") from error
    if len(frames) != episode["length"]:
        expected = f"expected {episode['length']} from frame {first} on"
        raise DemonstrationError(f"{where}: {path} has {len(frames)} frames, {expected}")
    return np.stack(frames)


def _table_frames(path: Path, episode: int, key: str, where: str) -> np.ndarray:
    place = f"{where}: {key}"
    try:
        table = parquet.read_table(path, columns=[key], filters=[("episode_index", "=", episode)])
        cells = table[key].to_pylist()
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise DemonstrationError(f"{place}: {path} cannot be read: {error}") from error
    if None in cells:
        raise DemonstrationError(f"{place}: {path} has rows without an image")
    return stack_images([decode_image(cell["bytes"], place) for cell in cells], place)


def _matrix(table: pyarrow.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        raise DemonstrationError(f"the table has no column {name!r}, only {', '.join(table.column_names)}")
    rows = table[name].to_pylist()
    if None in rows:
        raise DemonstrationError(f"row {rows.index(None)} of {name!r} is empty")
    if len({len(row) for row in rows}) != 1:
        raise DemonstrationError(f"rows of {name!r} have unequal lengths")
    return np.asarray(rows, np.float32)


def _rows(paths: list[Path], folder: Path) -> list[dict[str, Any]]:
    if not paths:
        raise DemonstrationError(f"{folder} has no episode tables: is this a LeRobot v3 data set?")
    try:
        return [row for path in paths for row in parquet.read_table(path).to_pylist()]
    except (OSError, pyarrow.ArrowException) as error:
        raise DemonstrationError(f"{folder}: a table cannot be read: {error}") from error


def _read_info(root: Path) -> dict[str, Any]:
    path = root / "meta/info.json"
    try:
        info = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise DemonstrationError(f"{path} cannot be read: {error}") from error
    version = str(info.get("codebase_version"))
    if not version.startswith("v3."):
        raise DemonstrationError(f"{path} says version {version}, this reader takes v3.x (LeRobot converts older ones)")
    return info

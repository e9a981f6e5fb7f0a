"""RLDS data sets as TFDS writes them (``modified_libero_rlds`` and its like), without TensorFlow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

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
from training.demonstrations.tfrecord import TFRecordError, parse_example, read_records

FRAMES = {"agentview": "steps/observation/image", "eye_in_hand": "steps/observation/wrist_image"}
INSTRUCTION = "steps/language_instruction"
INFO_FILE = "dataset_info.json"
SHARD = re.compile(r"tfrecord-(\d+)-of-\d+$")


@configuration
class RldsSource:
    """A TFDS folder: the one that holds ``features.json``, or one above it with a single version.

    Attributes:
        suite: of the labels; None: the data set's name (a trailing ``_no_noops`` does not matter).
        numbering: "episode_N" counts within the "task", or through the whole "dataset".
        collection: tells these demonstrations from those of other sources of the same tasks.
        labels: their ``substep_labels.json``; None: the one of the whole configuration.
    """

    path: Path
    type: Literal["rlds"] = "rlds"
    suite: str | None = None
    split: str = "train"
    numbering: Literal["task", "dataset"] = "task"
    orientation: ImageOrientation = ImageOrientation.HALF_TURN_OF_OPENGL
    collection: str = ""
    labels: Path | None = None


def version_folder(source: RldsSource) -> Path:
    """Raises: DemonstrationError: no ``features.json``, or several versions to choose from."""
    found = [source.path] if (source.path / "features.json").is_file() else []
    found = found or sorted(path.parent for path in source.path.glob("*/features.json"))
    if len(found) != 1:
        raise DemonstrationError(f"{source.path} has {len(found)} folders with a features.json, expected one")
    return found[0]


def read(source: RldsSource) -> Iterator[Demonstration | DemonstrationError]:
    """Every demonstration, or in its place the error that says why it cannot be had.

    Raises:
        DemonstrationError: episodes come after a damage that leaves open which number they have.
    """
    folder = version_folder(source)
    shapes = _step_shapes(folder / "features.json")
    shards = sorted(folder.glob(f"*-{source.split}.tfrecord-*"))
    if not shards:
        raise DemonstrationError(f"{folder} has no shards of split {source.split!r}")
    source = replace(source, suite=source.suite or shards[0].name.split(f"-{source.split}.tfrecord")[0])
    numbers, lengths = EpisodeNumbers(), _shard_lengths(folder, source.split)
    for shard in shards:
        count = 0
        try:
            for data in read_records(shard):
                count += 1
                yield _read_record(source, data, shapes, numbers, f"{shard}: episode {count - 1}")
            if count != (expected := lengths.get(_shard_number(shard), count)):
                raise TFRecordError(f"{shard} has {count} episodes, {INFO_FILE} says {expected}")
        except TFRecordError as error:
            numbers.lose(str(error))
            yield DemonstrationError(str(error))


def _shard_number(shard: Path) -> int | None:
    match = SHARD.search(shard.name)
    return int(match[1]) if match else None


def _shard_lengths(folder: Path, split: str) -> dict[int, int]:
    """Number of a shard -> its episodes, as far as TFDS says it.

    Raises:
        DemonstrationError: what it says cannot be read.
    """
    path = folder / INFO_FILE
    if not path.exists():
        return {}
    try:
        splits = {item["name"]: item["shardLengths"] for item in json.loads(path.read_text())["splits"]}
        return dict(enumerate(map(int, splits.get(split, []))))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DemonstrationError(f"{path} cannot be read: {error!r}") from error


def _read_record(
    source: RldsSource, data: bytes, shapes: dict, numbers: EpisodeNumbers, where: str
) -> Demonstration | DemonstrationError:
    """Raises: DemonstrationError: the episode's number cannot be known."""
    counts_tasks = source.numbering == "task"
    try:
        features = parse_example(data)
        instruction = _bytes(_field(features, INSTRUCTION), INSTRUCTION)[0].decode().strip().lower()
    except (TFRecordError, ValueError) as error:
        damage = located(error, where)
        if counts_tasks:
            numbers.lose(str(damage))
        else:
            numbers.take("", where)
        return damage
    episode = numbers.take(instruction if counts_tasks else "", where)
    try:
        return _read_episode(source, features, instruction, episode, shapes, where)
    except (KeyError, ValueError) as error:
        return located(error, where)


def _read_episode(
    source: RldsSource, features: dict[str, list], instruction: str, episode: str, shapes: dict, where: str
) -> Demonstration:
    actions = _matrix(features, "action", shapes)
    proprio = _matrix(features, "observation/state", shapes)
    if len(proprio) != len(actions):
        raise DemonstrationError(f"unequal lengths: {len(actions)} actions, {len(proprio)} states")
    encoded = {camera: _bytes(features[name], name) for camera, name in FRAMES.items() if name in features}
    return Demonstration(
        suite=source.suite,
        task=instruction.replace(" ", "_"),
        episode=episode,
        instruction=instruction,
        actions=actions,
        proprio=proprio,
        taught=all_taught(len(actions)),
        load_frames=partial(_decode, encoded, source.orientation, where),
        frame_origin=FrameOrigin(source.orientation),
        source=where,
    )


def _decode(encoded: Mapping[str, list[bytes]], orientation: ImageOrientation, where: str) -> dict[str, np.ndarray]:
    frames = {}
    for camera, images in encoded.items():
        place = f"{where}: {camera}"
        frames[camera] = orientation.to_upright(stack_images([decode_image(image, place) for image in images], place))
    return frames


def decode_image(data: bytes, where: str) -> np.ndarray:
    """JPEG or PNG bytes -> (H, W, 3) uint8 RGB. Raises: DemonstrationError: neither."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise DemonstrationError(f"{where}: a frame is no JPEG or PNG image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _matrix(features: dict[str, list], name: str, shapes: dict[str, tuple[int, ...]]) -> np.ndarray:
    """The feature of all steps, stored in a row -> (T, width) float32."""
    if name not in shapes:
        raise DemonstrationError(f"features.json has no steps/{name}")
    values = np.asarray(_field(features, f"steps/{name}"), np.float32)
    width = int(np.prod(shapes[name]))
    if values.size % width:
        raise DemonstrationError(f"steps/{name} has {values.size} values, no multiple of its shape {shapes[name]}")
    return values.reshape(-1, width)


def _field(features: dict[str, list], name: str) -> list:
    if not features.get(name):
        raise DemonstrationError(f"{name} is missing or empty")
    return features[name]


def _bytes(values: list, name: str) -> list[bytes]:
    if values and not isinstance(values[0], bytes):  # a feature holds values of one type
        raise DemonstrationError(f"{name} holds numbers such as {values[0]}, must hold bytes")
    return values


def _step_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """features.json -> shape of every tensor of a step, by its path in the step."""
    try:
        description = json.loads(path.read_text())
        steps = description["featuresDict"]["features"]["steps"]["sequence"]["feature"]
        return dict(_tensor_shapes(steps, ""))
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DemonstrationError(f"{path} does not describe RLDS episodes: {error!r}") from error


def _tensor_shapes(feature: dict[str, Any], prefix: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    if "featuresDict" in feature:
        for name, inner in feature["featuresDict"]["features"].items():
            yield from _tensor_shapes(inner, f"{prefix}/{name}" if prefix else name)
    elif "tensor" in feature:
        yield prefix, tuple(int(size) for size in feature["tensor"].get("shape", {}).get("dimensions", []))

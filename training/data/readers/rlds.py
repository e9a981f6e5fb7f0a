"""RLDS data sets as TFDS writes them (``modified_libero_rlds`` and its like), without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from substep_core.configuration import configuration
from substep_core.contract import CameraRole, RobotContract
from training.data.readers.conventions import FileSource, as_commanded
from training.data.readers.demonstration import (
    Demonstration,
    DemonstrationError,
    EpisodeNumbers,
    FrameOrigin,
    StoredFrames,
    all_taught,
    attempt,
)
from training.data.readers.description import read_description
from training.data.readers.encoded_images import decode_frames
from training.data.readers.instructions import read_instruction, read_steps
from training.data.readers.keys import camera_keys, read_groups
from training.data.readers.orientation import ImageOrientation
from training.data.readers.rlds_shards import INFO_FILE, RldsShard, check_complete, find_shards
from training.data.readers.tfrecord import TFRecordError, parse_example, read_record, read_records
from training.labels.file import EpisodeLabels

FRAMES = {CameraRole.SCENE: "observation/image", CameraRole.WRIST: "observation/wrist_image"}


@configuration
class RldsSource(FileSource):
    """A TFDS folder: the one that holds ``features.json``, or one above it with a single version.

    Attributes:
        suite: of the labels; None: the data set's name (a trailing ``_no_noops`` does not matter).
        cameras: camera of the robot -> feature of a step; None: ``modified_libero_rlds``'s of a camera for the same.
        state, action: feature of a step with the whole vector, or one for each group of the robot.
        instruction: feature of a step with its text. Texts that change within an episode are its substeps.
        numbering: "episode_N" counts within the "task", or through the whole "dataset".
    """

    type: Literal["rlds"] = "rlds"
    split: str = "train"
    numbering: Literal["task", "dataset"] = "task"
    orientation: ImageOrientation = ImageOrientation.HALF_TURN_OF_OPENGL
    cameras: dict[str, str] | None = None
    state: str | dict[str, str] = "observation/state"
    action: str | dict[str, str] = "action"
    instruction: str = "language_instruction"

    def read(self, robot: RobotContract) -> Iterator[Demonstration | DemonstrationError]:
        """Every demonstration, or in its place the error that says why it cannot be had.

        Raises:
            DemonstrationError: shards are missing and ``allow_missing`` is off, or episodes come after a damage that
                leaves open which number they have.
        """
        folder = version_folder(self)
        shapes = _step_shapes(folder / "features.json")
        shards = find_shards(folder, self.split)
        if not self.allow_missing:
            check_complete(shards)
        suite = self.suite or shards[0].path.name.rsplit(f"-{self.split}.tfrecord", 1)[0]
        reading = _Reading(self, robot, suite, camera_keys(robot, self.cameras, FRAMES, str(self.path)), shapes)
        for shard in shards:
            yield from reading.shard(shard)


def version_folder(source: RldsSource) -> Path:
    """Raises: DemonstrationError: no ``features.json``, or several versions to choose from."""
    if not source.path.is_dir():
        raise DemonstrationError(f"{source.path} is missing, expected a folder with a features.json")
    found = [source.path] if (source.path / "features.json").is_file() else []
    found = found or sorted(path.parent for path in source.path.glob("*/features.json"))
    if len(found) != 1:
        raise DemonstrationError(f"{source.path} has {len(found)} folders with a features.json, expected one")
    return found[0]


class _Reading:
    """One pass over a source. Only where its frames lie is kept of an episode, not the frames."""

    def __init__(
        self,
        source: RldsSource,
        robot: RobotContract,
        suite: str,
        cameras: Mapping[str, str],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.source, self.robot, self.suite, self.shapes = source, robot, suite, shapes
        self.frames = {camera: f"steps/{key}" for camera, key in cameras.items()}
        self.numbers = EpisodeNumbers()

    def shard(self, shard: RldsShard) -> Iterator[Demonstration | DemonstrationError]:
        """Its episodes. Raises: DemonstrationError: their numbers cannot be known."""
        if self.source.numbering == "dataset" and shard.first is not None:
            self.numbers.continue_at("", shard.first)
        if not shard.is_there:
            self.numbers.lose(shard.absence)
            yield DemonstrationError(shard.absence)
            return
        count = 0
        try:
            for begin, data in read_records(shard.path):
                count += 1
                yield self._episode(data, shard.path, begin, f"{shard.path}: episode {count - 1}")
            if shard.episodes not in (None, count):
                raise TFRecordError(f"{shard.path} has {count} episodes, {INFO_FILE} says {shard.episodes}")
        except (TFRecordError, OSError) as error:
            self.numbers.lose(str(error))
            yield DemonstrationError(str(error))

    def _episode(self, data: bytes, shard: Path, begin: int, where: str) -> Demonstration | DemonstrationError:
        """Raises: DemonstrationError: the episode's number cannot be known."""
        counts_tasks = self.source.numbering == "task"
        told = attempt(partial(self._instruction, data), where)
        if isinstance(told, DemonstrationError):
            if counts_tasks:
                self.numbers.lose(str(told))
            else:
                self.numbers.take("", where)
            return told
        episode = self.numbers.take(told.instruction if counts_tasks else "", where)
        load_frames = partial(_load_frames, shard, begin, self.frames, self.source.orientation, where)
        return attempt(partial(self._demonstration, told, episode, load_frames, where), where)

    def _instruction(self, data: bytes) -> _Told:
        features, name = parse_example(data), f"steps/{self.source.instruction}"
        texts = _bytes(_field(features, name), name)
        read = {text: read_instruction(text) for text in set(texts)}
        return _Told(features, *read_steps([read[text] for text in texts]))

    def _demonstration(
        self, told: _Told, episode: str, load_frames: Callable[[], StoredFrames], where: str
    ) -> Demonstration:
        source, robot, column = self.source, self.robot, partial(_matrix, told.features, self.shapes)
        actions = as_commanded(source, robot, read_groups(robot.action, source.action, column, "action"))
        proprio = read_groups(robot.state, source.state, column, "state")
        if len(proprio) != len(actions):
            raise DemonstrationError(f"unequal lengths: {len(actions)} actions, {len(proprio)} states")
        for name in self.frames.values():
            _bytes(told.features.get(name, []), name)
        if told.labels is not None and len(told.labels) != len(actions):
            raise DemonstrationError(f"unequal lengths: {len(actions)} actions, {len(told.labels)} instructions")
        return Demonstration(
            suite=self.suite,
            task=told.instruction.replace(" ", "_"),
            episode=episode,
            instruction=told.instruction,
            robot=robot,
            actions=actions,
            proprio=proprio,
            taught=all_taught(len(actions)),
            load_frames=load_frames,
            frame_origin=FrameOrigin(source.orientation),
            source=where,
            labels=told.labels,
        )


@dataclass(frozen=True)
class _Told:
    """An episode's features, and what they say of its task."""

    features: Mapping[str, list]
    instruction: str
    labels: EpisodeLabels | None


def _load_frames(
    shard: Path, begin: int, names: Mapping[str, str], orientation: ImageOrientation, where: str
) -> StoredFrames:
    """Camera -> (T, H, W, 3) of the episode whose record begins there."""
    features, frames = parse_example(read_record(shard, begin)), {}
    for camera, name in names.items():
        if name in features:
            frames[camera] = decode_frames(_bytes(features[name], name), orientation, f"{where}: {camera}")
    return frames


def _matrix(features: Mapping[str, list], shapes: Mapping[str, tuple[int, ...]], name: str) -> np.ndarray:
    """The feature of all steps, stored in a row -> (T, width) float32."""
    if name not in shapes:
        raise DemonstrationError(f"features.json has no steps/{name}")
    values = np.asarray(_field(features, f"steps/{name}"), np.float32)
    width = math.prod(shapes[name])
    if width < 1 or values.size % width:
        raise DemonstrationError(f"steps/{name} has {values.size} values, no multiple of its shape {shapes[name]}")
    return values.reshape(-1, width)


def _field(features: Mapping[str, list], name: str) -> list:
    if not features.get(name):
        raise DemonstrationError(f"{name} is missing or empty")
    return features[name]


def _bytes(values: list, name: str) -> list[bytes]:
    if values and not isinstance(values[0], bytes):  # a feature holds values of one type
        raise DemonstrationError(f"{name} holds numbers such as {values[0]}, must hold bytes")
    return values


def _step_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """features.json -> shape of every tensor of a step, by its path in the step."""
    description = read_description(path)
    try:
        steps = description["featuresDict"]["features"]["steps"]["sequence"]["feature"]
        return dict(_tensor_shapes(steps, ""))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise DemonstrationError(f"{path} does not describe RLDS episodes: {error!r}") from error


def _tensor_shapes(feature: dict[str, Any], prefix: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    if "featuresDict" in feature:
        for name, inner in feature["featuresDict"]["features"].items():
            yield from _tensor_shapes(inner, f"{prefix}/{name}" if prefix else name)
    elif "tensor" in feature:
        yield prefix, tuple(int(size) for size in feature["tensor"].get("shape", {}).get("dimensions", []))

"""Demonstrations on disk in the form training reads: all frames in one file.

``frames.bin`` grows by one demonstration at a time and ``index.jsonl`` by one line after it, so that building can
stop at any point and go on later; what an interruption left unfinished is cut off.

    frames.bin    (N, cameras, S, S, 3) uint8, upright
    steps.bin     (N, A + S + 1) float32, as ``stack_steps``
    index.jsonl   a header with the robot's contract, then one line a demonstration
"""

from __future__ import annotations

import enum
import importlib
import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from substep_core.configuration import dump, parse
from substep_core.contract import RobotContract, vector_misfit
from substep_policy.models.compact.preprocessing import resize
from substep_policy.models.openvla.images import fit
from training.data.frame_file import FrameFile
from training.data.readers import Demonstration, DemonstrationError, ReadReport
from training.data.readers.demonstration import FrameOrigin, FromJpeg, attempt, episode_key, images_of
from training.disk_room import check_room
from training.record_lines import mend, whole_lines
from training.whole_file import write_whole
from training.workers import parallel_map

log = logging.getLogger(__name__)
PI05_IMAGES = "substep_policy.models.pi05.images"


class StoreError(ValueError):
    """A store that does not fit; the message says why."""


@dataclass(frozen=True)
class StoredEpisode:
    """Where a demonstration lies: timesteps ``start`` to ``start + length``.

    Attributes:
        frame_origin: a ``FrameOrigin`` as JSON; None of one that was stored before it was kept.
    """

    suite: str
    task: str
    episode: str
    instruction: str
    start: int
    length: int
    collection: str = ""
    frame_origin: dict[str, str | int | None] | None = None

    @property
    def key(self) -> str:
        return episode_key(self.collection, self.suite, self.task, self.episode)


class Resizing(enum.StrEnum):
    """How frames are brought to the store's size: as the policy that is trained on them does it."""

    AREA = "area"
    OPENVLA = "jpeg_and_float_lanczos"
    PI05 = "padded_bilinear"

    def load(self) -> None:
        """Import what it needs; to be called before frames are rendered.

        Torch, which π0.5's resizing uses and others do without for its seconds of import, has to be in a process before
        OpenGL is: after it, Mesa's compiler ends the process by SIGSEGV.
        """
        if self is Resizing.PI05:
            importlib.import_module(PI05_IMAGES)

    def stack(self, frames: np.ndarray | FromJpeg, size: int) -> np.ndarray:
        """A camera's frames (T, H, W, 3) uint8 upright -> (T, size, size, 3) uint8 upright."""
        if self is Resizing.OPENVLA:
            return np.stack([fit(image, size, isinstance(frames, FromJpeg)) for image in images_of(frames)])
        fitted = resize if self is Resizing.AREA else importlib.import_module(PI05_IMAGES).fit
        return np.stack([fitted(image, size) for image in images_of(frames)])


@dataclass(frozen=True)
class StoreFormat:
    """What a store keeps.

    Attributes:
        robot: whose demonstrations they are.
        cameras: in the order of the frames.
        image_size: side in pixels.
        resizing: how frames of another size are made to fit.
    """

    robot: RobotContract
    cameras: tuple[str, ...]
    image_size: int
    resizing: Resizing = Resizing.AREA

    @property
    def frame_shape(self) -> tuple[int, ...]:
        return (len(self.cameras), self.image_size, self.image_size, 3)

    @property
    def step_width(self) -> int:
        """Numbers of a timestep: action, proprioception, and whether it is taught."""
        return self.robot.action_width + self.robot.state_width + 1

    @property
    def frames_header(self) -> dict[str, Any]:
        """What the first line of the index says of the frames."""
        header: dict[str, Any] = {"cameras": list(self.cameras), "image_size": self.image_size}
        return header if self.resizing is Resizing.AREA else {**header, "resizing": self.resizing.value}


def stack_frames(demonstration: Demonstration, format: StoreFormat) -> np.ndarray | DemonstrationError:
    """(T, cameras, S, S, 3) uint8, or the error that says why there is none."""
    return attempt(partial(_stacked, demonstration, format), demonstration.source)


def _stacked(demonstration: Demonstration, format: StoreFormat) -> np.ndarray:
    format.resizing.load()
    views = demonstration.stored_frames()
    missing = [camera for camera in format.cameras if camera not in views]
    if missing:
        raise DemonstrationError(f"no frames of {', '.join(missing)}, only {sorted(views)}")
    return np.stack([format.resizing.stack(views[camera], format.image_size) for camera in format.cameras], axis=1)


def stack_steps(demonstration: Demonstration) -> np.ndarray:
    """(T, A + S + 1) float32: action, proprioception, taught."""
    steps = np.concatenate([demonstration.actions, demonstration.proprio, demonstration.taught[:, None]], axis=1)
    return steps.astype(np.float32)


def unstack_steps(steps: np.ndarray, robot: RobotContract) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, A + S + 1) as ``stack_steps`` -> actions (N, A), proprio (N, S), taught (N,) bool."""
    width = robot.action_width
    return steps[:, :width], steps[:, width:-1], steps[:, -1] > 0.5


def _stored_episode(line: str, source: str) -> StoredEpisode:
    """Raises: StoreError: it has a key that is not known, or lacks one."""
    try:
        episode = StoredEpisode(**json.loads(line))
        FrameOrigin(**(episode.frame_origin or {}))
    except TypeError as error:
        raise StoreError(f"{source}: {error}: another version wrote it; delete the folder, or take another") from error
    return episode


def _in_words(frame_origin: dict[str, str | int | None]) -> str:
    return ", ".join(f"{name} {value}" for name, value in frame_origin.items() if value) or "no kind"


class DemonstrationStore:
    """Reads and extends a store folder."""

    def __init__(self, folder: Path, format: StoreFormat) -> None:
        """Opens or creates it.

        Raises:
            StoreError: the folder holds another robot's demonstrations, other cameras or another size, or was written
                by another version.
        """
        self.folder, self.format = folder, format
        folder.mkdir(parents=True, exist_ok=True)
        self.episodes = self._read_index()
        self._places = {episode.key: number for number, episode in enumerate(self.episodes)}
        self._cut_off_unfinished()

    @property
    def length(self) -> int:
        """Timesteps of all demonstrations."""
        return sum(episode.length for episode in self.episodes)

    def extend(
        self, demonstrations: Iterable[Demonstration], report: ReadReport, workers: int = 0
    ) -> list[StoredEpisode]:
        """Append those that are not in yet; damaged frames are counted in the report.

        Args:
            workers: processes that read (or render) frames; 0 reads them in this one.

        Returns:
            All of these demonstrations that are in now, not others that the store may hold.

        Raises:
            StoreError: the store holds another demonstration under the name of one of these.
            OSError: the disk has no room for the frames.
        """
        wanted, missing = set(), []
        for demonstration in demonstrations:
            wanted.add(demonstration.key)
            if demonstration.key not in self._places:
                missing.append(demonstration)
            else:
                self._check_same(demonstration)
        check_room(
            self.folder, sum(map(len, missing)) * sum(self._sizes().values()), f"frames of {len(missing)} episodes"
        )
        results = parallel_map(partial(stack_frames, format=self.format), missing, workers)
        with tqdm(total=len(missing), desc="frames", unit="demo", disable=not missing) as progress:
            for demonstration, frames in zip(missing, results, strict=True):
                progress.update()
                if isinstance(frames, DemonstrationError):
                    report.skipped.append(str(frames))
                    log.warning("skipped: %s", frames)
                else:
                    self._append(demonstration, frames)
        return [episode for episode in self.episodes if episode.key in wanted]

    def frames(self) -> FrameFile:
        """N frames (cameras, S, S, 3) uint8."""
        return FrameFile(self._path("frames.bin"), self.format.frame_shape, self.length)

    def steps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Actions (N, A), proprio (N, S), taught (N,) bool."""
        count = self.length * self.format.step_width  # another command may have added more meanwhile
        steps = np.fromfile(self._path("steps.bin"), np.float32, count).reshape(self.length, self.format.step_width)
        return unstack_steps(steps, self.format.robot)

    def _append(self, demonstration: Demonstration, frames: np.ndarray) -> None:
        for name, values in (("frames.bin", frames), ("steps.bin", stack_steps(demonstration))):
            with self._path(name).open("ab") as file:
                file.write(np.ascontiguousarray(values).tobytes())
        episode = StoredEpisode(
            demonstration.suite,
            demonstration.task,
            demonstration.episode,
            demonstration.instruction,
            self.length,
            len(demonstration),
            demonstration.collection,
            asdict(demonstration.frame_origin),
        )
        with self._path("index.jsonl").open("a") as file:
            file.write(json.dumps(asdict(episode)) + "\n")
        self._places[episode.key] = len(self.episodes)
        self.episodes.append(episode)

    def _check_same(self, demonstration: Demonstration) -> None:
        """Raises: StoreError: the one of this name in the store is another; the message says in what."""
        stored = self.episodes[self._places[demonstration.key]]
        differences = []
        if stored.instruction != demonstration.instruction:
            differences.append(f"instruction {stored.instruction!r}, there it is {demonstration.instruction!r}")
        if not np.array_equal(self._steps_of(stored), stack_steps(demonstration)):
            differences.append("other actions, proprioception or taught steps")
        origin = asdict(demonstration.frame_origin)
        if stored.frame_origin is not None and asdict(FrameOrigin(**stored.frame_origin)) != origin:
            differences.append(f"frames of {_in_words(stored.frame_origin)}, there they are of {_in_words(origin)}")
        if differences:
            raise StoreError(
                f"{self.folder} holds another {demonstration.key} than {demonstration.source}, with "
                f"{' and '.join(differences)}: delete the folder, or take another, and frames are read anew"
            )

    def _steps_of(self, episode: StoredEpisode) -> np.ndarray:
        """(T, A + S + 1), as ``stack_steps``."""
        width = self.format.step_width
        count, offset = episode.length * width, episode.start * width * np.dtype(np.float32).itemsize
        steps = np.fromfile(self._path("steps.bin"), np.float32, count=count, offset=offset)
        return steps.reshape(episode.length, width)

    def _read_index(self) -> list[StoredEpisode]:
        path = self._path("index.jsonl")
        if not path.exists():
            header = {**self.format.frames_header, "robot": dump(self.format.robot)}
            write_whole(path, json.dumps(header) + "\n")
        first, *lines = whole_lines(path)
        self._check_header(json.loads(first), str(path))
        return [_stored_episode(line, f"{path}, line {number}") for number, line in enumerate(lines, start=2)]

    def _check_header(self, header: dict[str, Any], source: str) -> None:
        """Raises: StoreError: it is of other frames, of another robot, or of none as older versions wrote it."""
        robot, expected = header.pop("robot", None), self.format.frames_header
        if header != expected:
            raise StoreError(
                f"{self.folder} was built with {json.dumps(header)}, expected {json.dumps(expected)}: use another"
            )
        if robot is None:
            raise StoreError(f"{self.folder} does not say whose demonstrations it holds: delete it, or use another")
        if why := vector_misfit(self.format.robot, parse(RobotContract, robot, source)):
            raise StoreError(f"{self.folder} holds another robot's demonstrations: {why}; use another folder")

    def _cut_off_unfinished(self) -> None:
        """Bytes after the last finished demonstration, and a half-written line of the index."""
        for name, size in self._sizes().items():
            path, expected = self._path(name), self.length * size
            path.touch()
            if path.stat().st_size < expected:
                raise StoreError(
                    f"{path} has {path.stat().st_size} bytes, its index says {expected}: delete {self.folder}"
                )
            os.truncate(path, expected)
        mend(self._path("index.jsonl"))

    def _sizes(self) -> dict[str, int]:
        """File -> bytes of a timestep in it."""
        return {"frames.bin": int(np.prod(self.format.frame_shape)), "steps.bin": self.format.step_width * 4}

    def _path(self, name: str) -> Path:
        return self.folder / name

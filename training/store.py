"""Demonstrations on disk in the form training reads: all frames in one file.

``frames.bin`` grows by one demonstration at a time and ``index.jsonl`` by one line after it, so that building can
stop at any point and go on later; what an interruption left unfinished is cut off.

    frames.bin    (N, cameras, S, S, 3) uint8, upright
    steps.bin     (N, 16) float32, as ``stack_steps``
    index.jsonl   a header, then one line a demonstration
"""

from __future__ import annotations

import enum
import json
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from substep_policy.backbones.openvla import images
from substep_policy.observation import ACTION_DIM, PROPRIO_DIM
from substep_policy.preprocessing import resize
from training.demonstrations import Demonstration, DemonstrationError, ReadReport
from training.demonstrations.demonstration import episode_key
from training.frame_file import FrameFile
from training.whole_file import write_whole
from training.workers import end_with_parent

log = logging.getLogger(__name__)
Item, Result = TypeVar("Item"), TypeVar("Result")
STEP_WIDTH = ACTION_DIM + PROPRIO_DIM + 1


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
    OPENVLA = "openvla"

    def apply(self, frame: np.ndarray, size: int) -> np.ndarray:
        """(H, W, 3) uint8 upright -> (size, size, 3) uint8 upright."""
        return resize(frame, size) if self is Resizing.AREA else images.fit(frame, size)


@dataclass(frozen=True)
class StoreFormat:
    """``cameras`` in the order of the frames; ``image_size`` in pixels; how frames of another size are made to fit."""

    cameras: tuple[str, ...]
    image_size: int
    resizing: Resizing = Resizing.AREA

    @property
    def frame_shape(self) -> tuple[int, ...]:
        return (len(self.cameras), self.image_size, self.image_size, 3)

    @property
    def header(self) -> dict[str, Any]:
        """First line of the index."""
        header: dict[str, Any] = {"cameras": list(self.cameras), "image_size": self.image_size}
        return header if self.resizing is Resizing.AREA else {**header, "resizing": self.resizing.value}


def stack_frames(demonstration: Demonstration, format: StoreFormat) -> np.ndarray | DemonstrationError:
    """(T, cameras, S, S, 3) uint8, or the error that says why there is none."""
    try:
        views = demonstration.frames()
    except DemonstrationError as error:
        return error
    missing = [camera for camera in format.cameras if camera not in views]
    if missing:
        return DemonstrationError(f"{demonstration.source}: no frames of {', '.join(missing)}, only {sorted(views)}")
    size = format.image_size
    resized = [np.stack([format.resizing.apply(frame, size) for frame in views[camera]]) for camera in format.cameras]
    return np.stack(resized, axis=1)


def stack_steps(demonstration: Demonstration) -> np.ndarray:
    """(T, 16) float32: 7 action, 8 proprioception, 1 taught."""
    steps = np.concatenate([demonstration.actions, demonstration.proprio, demonstration.taught[:, None]], axis=1)
    return steps.astype(np.float32)


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """``map`` in that many processes, in this one for 0; results in order.

    Processes are started afresh: a forked OpenGL context does not work, and rendering and training do not get on in
    one process everywhere.
    """
    if workers == 0:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as executor:
        yield from executor.map(function, items)


def _in_words(frame_origin: dict[str, str | int | None]) -> str:
    return ", ".join(f"{name} {value}" for name, value in frame_origin.items() if value is not None) or "no kind"


class DemonstrationStore:
    """Reads and extends a store folder."""

    def __init__(self, folder: Path, format: StoreFormat) -> None:
        """Opens or creates it.

        Raises:
            StoreError: the folder holds other cameras or another size.
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
        """
        wanted, missing = set(), []
        for demonstration in demonstrations:
            wanted.add(demonstration.key)
            if demonstration.key not in self._places:
                missing.append(demonstration)
            else:
                self._check_same(demonstration)
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
        """Actions (N, 7), proprio (N, 8), taught (N,) bool."""
        count = self.length * STEP_WIDTH  # another command may have added more meanwhile
        steps = np.fromfile(self._path("steps.bin"), np.float32, count).reshape(self.length, STEP_WIDTH)
        return steps[:, :ACTION_DIM], steps[:, ACTION_DIM:-1], steps[:, -1] > 0.5

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
        if stored.frame_origin is not None and stored.frame_origin != origin:
            differences.append(f"frames of {_in_words(stored.frame_origin)}, there they are of {_in_words(origin)}")
        if differences:
            raise StoreError(
                f"{self.folder} holds another {demonstration.key} than {demonstration.source}, with "
                f"{' and '.join(differences)}: delete the folder, or take another, and frames are read anew"
            )

    def _steps_of(self, episode: StoredEpisode) -> np.ndarray:
        """(T, 16), as ``stack_steps``."""
        row = STEP_WIDTH * np.dtype(np.float32).itemsize
        steps = np.fromfile(
            self._path("steps.bin"), np.float32, count=episode.length * STEP_WIDTH, offset=episode.start * row
        )
        return steps.reshape(episode.length, STEP_WIDTH)

    def _read_index(self) -> list[StoredEpisode]:
        path = self._path("index.jsonl")
        header = self.format.header
        if not path.exists():
            write_whole(path, json.dumps(header) + "\n")
        first, *lines = path.read_text().splitlines(keepends=True)
        if json.loads(first) != header:
            raise StoreError(
                f"{self.folder} was built with {first.strip()}, expected {json.dumps(header)}: use another"
            )
        return [StoredEpisode(**json.loads(line)) for line in lines if line.endswith("\n")]

    def _cut_off_unfinished(self) -> None:
        """Bytes after the last finished demonstration, and a half-written line of the index."""
        sizes = {"frames.bin": int(np.prod(self.format.frame_shape)), "steps.bin": STEP_WIDTH * 4}
        for name, size in sizes.items():
            path, expected = self._path(name), self.length * size
            path.touch()
            if path.stat().st_size < expected:
                raise StoreError(
                    f"{path} has {path.stat().st_size} bytes, its index says {expected}: delete {self.folder}"
                )
            os.truncate(path, expected)
        index = self._path("index.jsonl")
        lines = index.read_text().splitlines(keepends=True)
        if not lines[-1].endswith("\n"):
            write_whole(index, "".join(lines[:-1]))

    def _path(self, name: str) -> Path:
        return self.folder / name

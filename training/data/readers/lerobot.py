"""LeRobot v3 data sets: Parquet tables and MP4 files (or images inside the tables), without importing lerobot."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

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
from training.data.readers.keys import camera_keys, read_groups
from training.data.readers.lerobot_frames import camera_frames
from training.data.readers.lerobot_tables import DataFiles, EpisodeRows, LeRobotInfo, read_episodes
from training.data.readers.lerobot_texts import EpisodeTexts, EpisodeWords
from training.data.readers.orientation import ImageOrientation

log = logging.getLogger(__name__)

FRAMES = {
    CameraRole.SCENE: ("observation.images.image", "observation.images.agentview", "observation.images.front"),
    CameraRole.WRIST: ("observation.images.wrist_image", "observation.images.image2", "observation.images.wrist"),
}


@configuration
class LeRobotSource(FileSource):
    """A data set folder with ``meta/info.json``.

    Attributes:
        suite: of the labels; None: the folder's name.
        cameras: camera of the robot -> the data set's keys, the first that exists counts; None: usual names of a
            camera for the same.
        state, action: column with the whole vector, or one for each group of the robot.
        orientation: data sets converted from ``modified_libero_rlds`` are mirrored.
        numbering: "episode_N" counts within the "task", or is the "dataset"'s own number.
    """

    type: Literal["lerobot"] = "lerobot"
    cameras: dict[str, tuple[str, ...]] | None = None
    state: str | dict[str, str] = "observation.state"
    action: str | dict[str, str] = "action"
    orientation: ImageOrientation = ImageOrientation.HALF_TURN_OF_OPENGL
    numbering: Literal["task", "dataset"] = "task"

    def read(self, robot: RobotContract) -> Iterator[Demonstration | DemonstrationError]:
        """Every demonstration, or in its place the error that says why it cannot be had.

        Raises:
            DemonstrationError: episodes are missing and ``allow_missing`` is off, or one comes after another without a
                task, which leaves open which number it has.
        """
        info = LeRobotInfo.read(self.path)
        if abs(info.rate - robot.rate) > 0.5:
            log.warning("%s says %g frames a second, robot %s has %g", self.path, info.rate, robot.name, robot.rate)
        rows = read_episodes(info)
        missing = sorted(set(range(info.episodes)) - rows.keys())
        if missing and not self.allow_missing:
            raise DemonstrationError(
                f"{self.path}: {len(missing)} of {info.episodes} episodes are missing from meta/episodes, such as "
                f"{missing[0]}. Fetch what is missing, or give the source `allow_missing: true` to read the rest"
            )
        reading = _Reading(self, robot, info)
        for number in range(info.episodes):
            yield reading.episode(number, rows.get(number))


@dataclass(frozen=True)
class _Place:
    """Where the frames of an episode are: a row of ``meta/episodes``, and the feature of each camera."""

    info: LeRobotInfo
    row: Mapping[str, Any]
    features: Mapping[str, str]
    orientation: ImageOrientation
    where: str

    def load_frames(self) -> StoredFrames:
        return {
            camera: camera_frames(self.info, self.row, key, self.orientation, self.where)
            for camera, key in self.features.items()
        }


class _Reading:
    """One pass over a source."""

    def __init__(self, source: LeRobotSource, robot: RobotContract, info: LeRobotInfo) -> None:
        self.source, self.robot, self.info = source, robot, info
        self.numbers, self.texts, self.files = EpisodeNumbers(), EpisodeTexts(info.root), DataFiles(info)
        keys = camera_keys(robot, source.cameras, FRAMES, str(source.path))
        self.features = {camera: key for camera, names in keys.items() if (key := self._first_there(names))}

    def episode(self, number: int, row: Mapping[str, Any] | None) -> Demonstration | DemonstrationError:
        """Raises: DemonstrationError: the episode's number among those of its task cannot be known."""
        where = f"{self.source.path}: episode {number}"
        if row is None:
            return self._lost(DemonstrationError(f"{where} is missing from meta/episodes"))
        rows = attempt(partial(self.files.rows, row), where)
        told = attempt(partial(self.texts.told, row, rows if isinstance(rows, EpisodeRows) else None, where), where)
        if isinstance(told, DemonstrationError):
            return self._lost(told)
        counts_tasks = self.source.numbering == "task"
        name = self.numbers.take(told.instruction, where) if counts_tasks else f"episode_{number}"
        if damage := next((part for part in (rows, told.labels) if isinstance(part, DemonstrationError)), None):
            return damage
        return attempt(partial(self._demonstration, row, rows, told, name, where), where)

    def _demonstration(
        self, row: Mapping[str, Any], rows: EpisodeRows, told: EpisodeWords, name: str, where: str
    ) -> Demonstration:
        source, robot = self.source, self.robot
        actions = as_commanded(source, robot, read_groups(robot.action, source.action, rows.matrix, "action"))
        proprio = read_groups(robot.state, source.state, rows.matrix, "state")
        return Demonstration(
            suite=source.suite or source.path.name,
            task=told.instruction.replace(" ", "_"),
            episode=name,
            instruction=told.instruction,
            robot=robot,
            actions=actions,
            proprio=proprio,
            taught=all_taught(len(actions)),
            load_frames=_Place(self.info, row, self.features, source.orientation, where).load_frames,
            frame_origin=FrameOrigin(source.orientation),
            source=where,
            labels=told.labels,
        )

    def _lost(self, damage: DemonstrationError) -> DemonstrationError:
        """The error of an episode whose task is not known."""
        self.numbers.lose(str(damage))
        return damage

    def _first_there(self, keys: Sequence[str]) -> str | None:
        return next((key for key in keys if key in self.info.dtypes), None)

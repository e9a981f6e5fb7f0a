"""Folders of runs, one a subtask: ``actions.npy``, ``qpos.npy`` and a folder of JPEGs a camera.

ROOT/TASK/SUBTASK/RUN/…      by tasks
ROOT/stage1/RUN/…            by stages of one task

What tasks and subtasks are called, and in which order they come, an instruction file says: ``high_level_task``, and
``task_instructions`` by stage or ``tasks`` by folder. Without one, folders of tasks are called as they are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from substep_core.configuration import configuration
from substep_core.contract import RobotContract
from substep_core.plan import Substep
from training.data.readers.conventions import GripperValues, as_commanded
from training.data.readers.demonstration import (
    Demonstration,
    DemonstrationError,
    FrameOrigin,
    StoredFrames,
    all_taught,
    attempt,
)
from training.data.readers.encoded_images import decode_frames
from training.data.readers.limits import check_length
from training.data.readers.orientation import ImageOrientation
from training.data.readers.pi05_places import ACTIONS, RunsPlace, by_number, find_places, folders_in
from training.labels.file import EpisodeLabels

STATES = "qpos.npy"
PICTURES = (".jpg", ".jpeg")


@configuration
class Pi05FoldersSource:
    """A root folder of either form.

    Attributes:
        instructions: the instruction file; None: ``instructions.json`` in the root, where there is one.
        suite: of the labels; None: the root's name.
        cameras: camera of the robot -> name of its folder in a run; None: the same names.
        orientation: of the frames.
        gripper, clip_actions: see ``training.data.readers.conventions.ActionSource``.
        collection: tells these demonstrations from those of other sources of the same tasks.
        labels: a ``substep_labels.json`` over what the folders say; None: see ``DataConfig.labels``.
    """

    path: Path
    type: Literal["pi05_folders"] = "pi05_folders"
    instructions: Path | None = None
    suite: str | None = None
    cameras: dict[str, str] | None = None
    orientation: ImageOrientation = ImageOrientation.UPRIGHT
    gripper: GripperValues | None = None
    clip_actions: bool = False
    collection: str = ""
    labels: Path | None = None

    def read(self, robot: RobotContract) -> Iterator[Demonstration | DemonstrationError]:
        """Every run, or in its place the error that says why it cannot be had.

        Raises:
            DemonstrationError: the root is of neither form, a subtask has no text, or a camera is not the robot's.
        """
        if strangers := sorted(set(self.cameras or ()) - set(robot.camera_names)):
            raise DemonstrationError(f"{self.path}: cameras names {strangers}; robot {robot.name} has none of the name")
        cameras = self.cameras or {name: name for name in robot.camera_names}
        counts: Counter[str] = Counter()
        for place in find_places(self.path, self.instructions):
            if not (runs := folders_in(place.folder)):
                yield DemonstrationError(f"{place.folder} has no runs")
            for run in runs:
                episode = f"episode_{counts[place.task]}"
                counts[place.task] += 1
                yield attempt(partial(_demonstration, self, robot, cameras, place, run, episode), str(run))


def _demonstration(
    source: Pi05FoldersSource,
    robot: RobotContract,
    cameras: Mapping[str, str],
    place: RunsPlace,
    run: Path,
    episode: str,
) -> Demonstration:
    actions, proprio = (_array(run / name) for name in (ACTIONS, STATES))
    frames = {camera: _pictures(run / folder) for camera, folder in cameras.items()}
    lengths = {ACTIONS: len(actions), STATES: len(proprio)} | {
        cameras[name]: len(found) for name, found in frames.items()
    }
    if len(set(lengths.values())) > 1:
        raise DemonstrationError(f"unequal lengths: {', '.join(f'{name} {count}' for name, count in lengths.items())}")
    length = len(actions)
    is_end = np.zeros(length, bool)
    is_end[-1:] = True
    substeps = tuple(Substep(text, "") for text in place.subtasks)
    labels = EpisodeLabels(place.instruction, substeps, np.full(length, place.number), is_end, np.zeros(length, int))
    return Demonstration(
        suite=source.suite or source.path.name,
        task=place.task,
        episode=episode,
        instruction=place.instruction,
        robot=robot,
        actions=as_commanded(source, robot, actions),
        proprio=proprio.astype(np.float32),
        taught=all_taught(length),
        load_frames=partial(_load, frames, source.orientation),
        frame_origin=FrameOrigin(source.orientation),
        source=str(run),
        labels=labels,
    )


def _array(path: Path) -> np.ndarray:
    """(T, N) numbers. Raises: DemonstrationError: there are none."""
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DemonstrationError(f"{path.name} is no whole array of numbers: {error}") from error
    if not isinstance(values, np.ndarray):
        raise DemonstrationError(f"{path.name} holds several arrays, expected numbers (T, N)")
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DemonstrationError(f"{path.name} holds {values.dtype} {values.shape}, expected numbers (T, N)")
    check_length(len(values), path.name)
    return values


def _pictures(folder: Path) -> list[Path]:
    """In the order of the numbers in their names. Raises: DemonstrationError: there are none."""
    if not folder.is_dir():
        raise DemonstrationError(f"there is no folder {folder.name} of images")
    found = sorted((path for path in folder.iterdir() if path.suffix.lower() in PICTURES), key=by_number)
    if not found:
        raise DemonstrationError(f"folder {folder.name} has no images, expected *{' or *'.join(PICTURES)}")
    return found


def _load(frames: Mapping[str, list[Path]], orientation: ImageOrientation) -> StoredFrames:
    return {
        camera: decode_frames([path.read_bytes() for path in paths], orientation, str(paths[0].parent))
        for camera, paths in frames.items()
    }

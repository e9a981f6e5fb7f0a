"""Folders of runs, one a subtask: ``actions.npy``, ``qpos.npy`` and a folder of JPEGs a camera.

ROOT/TASK/SUBTASK/RUN/…      by tasks
ROOT/stage1/RUN/…            by stages of one task

What tasks and subtasks are called, and in which order they come, an instruction file says: ``high_level_task``, and
``task_instructions`` by stage or ``tasks`` by folder. Without one, folders of tasks are called as they are named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

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
from training.data.readers.description import read_description
from training.data.readers.encoded_images import decode_frames
from training.data.readers.instructions import read_instruction
from training.data.readers.limits import check_length
from training.data.readers.orientation import ImageOrientation
from training.labels.file import EpisodeLabels

INSTRUCTIONS = "instructions.json"
STAGE = re.compile(r"stage_?(\d+)")
ACTIONS, STATES = "actions.npy", "qpos.npy"
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
        for place in _places(self.path, _instructions(self)):
            for run in _folders(place.folder):
                episode = f"episode_{counts[place.task]}"
                counts[place.task] += 1
                yield attempt(partial(_demonstration, self, robot, cameras, place, run, episode), str(run))


@dataclass(frozen=True)
class _Place:
    """A folder of runs of one subtask.

    Attributes:
        subtasks: of the whole task, in their order; ``number``: which of them this is.
    """

    folder: Path
    task: str
    instruction: str
    subtasks: tuple[str, ...]
    number: int


def _instructions(source: Pi05FoldersSource) -> dict[str, Any]:
    path = source.instructions or source.path / INSTRUCTIONS
    return {} if source.instructions is None and not path.exists() else {"path": path} | read_description(path)


def _places(root: Path, content: Mapping[str, Any]) -> list[_Place]:
    """Every folder of runs. Raises: DemonstrationError: neither form, or something has no text."""
    folders = _folders(root)
    stages = {folder: match for folder in folders if (match := STAGE.fullmatch(folder.name))}
    if not folders:
        raise DemonstrationError(f"{root} has no folders: expected TASK/SUBTASK/RUN or stage1/RUN")
    if not stages:
        return [place for folder in folders for place in _task_places(folder, content)]
    if len(stages) < len(folders):
        others = ", ".join(folder.name for folder in folders if folder not in stages)
        raise DemonstrationError(f"{root} has stages, and beside them {others}: expected one form or the other")
    return _stage_places(root, {int(match[1]): folder for folder, match in stages.items()}, content)


def _stage_places(root: Path, folders: Mapping[int, Path], content: Mapping[str, Any]) -> list[_Place]:
    where = content.get("path", root / INSTRUCTIONS)
    entries = {}
    for entry in content.get("task_instructions", []):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("stage"), int):
            raise DemonstrationError(f"{where}: task_instructions holds {entry!r}, expected a stage with its number")
        entries[entry["stage"]] = entry
    if lacking := sorted(set(folders) - set(entries)):
        there = ", ".join(map(str, sorted(entries))) or "none"
        raise DemonstrationError(f"{folders[lacking[0]]} has no text: {where} has task_instructions of stages {there}")
    if missing := sorted(set(entries) - set(folders)):
        raise DemonstrationError(
            f"{where} names stage {missing[0]}, and there is no folder stage{missing[0]} in {root}"
        )
    order = sorted(entries)
    tasks = [_text(entries[n].get("high_level_task") or content.get("high_level_task"), n, where) for n in order]
    subtasks = [_text(entries[n].get("subtask"), n, where, "subtask") for n in order]
    places = []
    for place, number in enumerate(order):
        same = [other for other in range(len(order)) if tasks[other] == tasks[place]]
        steps = tuple(subtasks[other] for other in same)
        name = tasks[place].replace(" ", "_")
        places.append(_Place(folders[number], name, tasks[place], steps, same.index(place)))
    return places


def _task_places(folder: Path, content: Mapping[str, Any]) -> list[_Place]:
    """Of one task. The order of its subtasks is the file's; without it, nothing says which of several comes last."""
    where, there = content.get("path", ""), _folders(folder)
    if not there:
        raise DemonstrationError(f"{folder} has no folders: expected SUBTASK/RUN in it")
    if any((run / ACTIONS).exists() for run in there):
        raise DemonstrationError(f"{folder} holds runs: expected TASK/SUBTASK/RUN, or folders stage1, stage2, …")
    tasks = content.get("tasks", {})
    entry = tasks.get(folder.name) if isinstance(tasks, Mapping) else None
    if tasks and not isinstance(entry, Mapping):
        raise DemonstrationError(f"{folder} has no text: {where} has tasks {', '.join(map(str, tasks))}")
    if entry is None:
        names = [sub.name for sub in there]
        instruction = read_instruction(folder.name.replace("_", " "))
        texts = {name: read_instruction(name.replace("_", " ")) for name in names}
    else:
        told = entry.get("subtasks", {})
        names = list(told)
        if lacking := [sub for sub in there if sub.name not in told]:
            raise DemonstrationError(f"{lacking[0]} has no text: {where} has subtasks {', '.join(names) or 'none'}")
        instruction = _text(entry.get("text") or content.get("high_level_task"), folder.name, where)
        texts = {name: _text(told[name].get("text"), name, where) for name in names}
    places = []
    for sub in there:
        order = names if entry is not None else [sub.name, *(name for name in names if name != sub.name)]
        steps = tuple(texts[name] for name in order)
        places.append(_Place(sub, folder.name, instruction, steps, order.index(sub.name)))
    return places


def _text(value: Any, of: object, where: object, key: str = "text") -> str:
    if not isinstance(value, str) or not value.strip():
        raise DemonstrationError(f"{where}: {key} of {of} is {value!r}, expected words")
    return read_instruction(value)


def _demonstration(
    source: Pi05FoldersSource, robot: RobotContract, cameras: Mapping[str, str], place: _Place, run: Path, episode: str
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
    values = np.load(path, allow_pickle=False)
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DemonstrationError(f"{path.name} holds {values.dtype} {values.shape}, expected numbers (T, N)")
    check_length(len(values), path.name)
    return values


def _pictures(folder: Path) -> list[Path]:
    """In the order of the numbers in their names. Raises: DemonstrationError: there are none."""
    if not folder.is_dir():
        raise DemonstrationError(f"there is no folder {folder.name} of images")
    found = sorted((path for path in folder.iterdir() if path.suffix.lower() in PICTURES), key=_order)
    if not found:
        raise DemonstrationError(f"folder {folder.name} has no images, expected *{' or *'.join(PICTURES)}")
    return found


def _order(path: Path) -> tuple[list[int], str]:
    """img_2 comes before img_10."""
    return [int(number) for number in re.findall(r"\d+", path.stem)], path.name


def _load(frames: Mapping[str, list[Path]], orientation: ImageOrientation) -> StoredFrames:
    return {
        camera: decode_frames([path.read_bytes() for path in paths], orientation, str(paths[0].parent))
        for camera, paths in frames.items()
    }


def _folders(folder: Path) -> list[Path]:
    """Raises: DemonstrationError: there is none of the name."""
    if not folder.is_dir():
        raise DemonstrationError(f"{folder} is no folder")
    return sorted((path for path in folder.iterdir() if path.is_dir()), key=_order)

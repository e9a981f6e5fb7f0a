"""HDF5 files as LIBERO has them: one ``<task>_demo.hdf5`` a task, ``data/demo_N/{actions, obs/…}`` in each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from substep_core.configuration import configuration, dump
from substep_core.contract import CameraRole, RobotContract, StateQuantity
from training.collect.looks import LookVariation
from training.data.readers.conventions import FileSource, as_commanded
from training.data.readers.demonstration import (
    Demonstration,
    DemonstrationError,
    FrameOrigin,
    all_taught,
    attempt,
)
from training.data.readers.hdf5_values import group_at, has, open_file, values_at
from training.data.readers.instructions import instruction_of_name, read_instruction
from training.data.readers.keys import camera_keys, read_groups, state_keys
from training.data.readers.orientation import ImageOrientation

FRAMES = {CameraRole.SCENE: "agentview_rgb", CameraRole.WRIST: "eye_in_hand_rgb"}
STATE = {
    StateQuantity.POSITION: "ee_pos",
    StateQuantity.ROTATION: "ee_ori",
    StateQuantity.GRIPPER_POSITION: "gripper_states",
    StateQuantity.JOINT_POSITION: "joint_states",
}
SUFFIX = "_demo.hdf5"
TAUGHT_ACTIONS = "taught_actions"  # of this project's collection: what the demonstrator meant, without the noise
TAUGHT = "taught"


@configuration
class LiberoHdf5Source(FileSource):
    """A folder of ``<suite>/<task>_demo.hdf5`` files, or of the task files themselves when ``suite`` is given.

    Attributes:
        files: which files of a folder are read. A task's name is the file's, without ``_demo.hdf5``.
        demonstrations: group with a group for each demonstration, whose name ends in its number.
        observations: group of a demonstration that ``cameras`` and ``state`` are in.
        render_size: side in pixels of frames that a file leaves out (``./substep data collect``) and that are rendered
            anew; None takes stored frames only.
        looks: rendered frames look otherwise, each demonstration as it is drawn; None: as they looked when they were
            recorded. Several renderings of a demonstration are as many sources, each a `collection` of its own.
        cameras: camera of the robot -> key; None: LIBERO's key of a camera for the same.
        state: state group of the robot -> key; None: LIBERO's key of the same quantity.
        action: key in the demonstration of the whole vector, or of each group of the robot.
        instructions: name of a task -> its instruction; of others it is what the file says in ``problem_info``, or its
            name.
        allow_missing: as ``num_demos`` of a file counts them.
    """

    type: Literal["libero_hdf5"] = "libero_hdf5"
    files: str = f"*{SUFFIX}"
    demonstrations: str = "data"
    observations: str = "obs"
    orientation: ImageOrientation = ImageOrientation.OPENGL
    render_size: int | None = None
    looks: LookVariation | None = None
    cameras: dict[str, str] | None = None
    state: dict[str, str] | None = None
    action: str | dict[str, str] = "actions"
    instructions: Mapping[str, str] = field(default_factory=dict)

    def read(self, robot: RobotContract) -> Iterator[Demonstration | DemonstrationError]:
        """Every demonstration, or in its place the error that says why it cannot be had.

        Raises:
            DemonstrationError: there are no files, one lacks demonstrations and ``allow_missing`` is off, or a key of
                the robot's is not known.
        """
        keys = keys_of(self, robot)
        contents = [
            (suite, file, attempt(partial(_content, self, file), f"{file}: no file of demonstrations"))
            for suite, file in files(self)
        ]
        for _, file, content in contents:
            if isinstance(content, _Content) and content.lacks and not self.allow_missing:
                raise DemonstrationError(
                    f"{file}: {content.lacks}. Fetch the whole file, or give the source `allow_missing: true`"
                )
        for suite, file, content in contents:
            if isinstance(content, DemonstrationError):
                yield content
                continue
            if content.lacks:
                yield DemonstrationError(f"{file}: {content.lacks}")
            for demo in content.demonstrations:
                place = _Place(self, robot, keys, suite, file, demo)
                yield attempt(partial(place.read, content.instruction), place.where)


def files(source: LiberoHdf5Source) -> list[tuple[str, Path]]:
    """Suite and file of every task.

    Raises:
        DemonstrationError: there are none.
    """
    if not source.path.is_dir():
        raise DemonstrationError(f"{source.path} is missing, expected a folder of demonstrations")
    pattern = source.files if source.suite else f"*/{source.files}"
    found = sorted(source.path.glob(pattern))
    if not found:
        raise DemonstrationError(f"{source.path} has no {pattern}")
    return [(source.suite or file.parent.name, file) for file in found]


@dataclass(frozen=True)
class Keys:
    """Where a file has what: camera -> key and state group -> key, both in the observations."""

    frames: Mapping[str, str]
    state: Mapping[str, str]


def keys_of(source: LiberoHdf5Source, robot: RobotContract) -> Keys:
    """Raises: DemonstrationError: the source does not say where something of the robot's is."""
    place = str(source.path)
    return Keys(camera_keys(robot, source.cameras, FRAMES, place), state_keys(robot, source.state, STATE, place))


def task_name(file: Path) -> str:
    """The task of a file, with the scene in front if there is one: libero_90 has some tasks in several scenes."""
    return file.name.removesuffix(SUFFIX) if file.name.endswith(SUFFIX) else file.stem


@dataclass(frozen=True)
class _Content:
    """What a file has. ``lacks`` says which demonstrations it counts and does not have."""

    demonstrations: tuple[str, ...]
    instruction: str
    lacks: str = ""


def _content(source: LiberoHdf5Source, file: Path) -> _Content:
    with open_file(file) as content:
        data = group_at(content, source.demonstrations)
        names = tuple(sorted(data, key=_number))
        attributes = dict(data.attrs)
    stated = attributes.get("num_demos", len(names))
    lacks = f"{len(names)} demonstrations are there, num_demos says {stated}" if stated != len(names) else ""
    return _Content(names, _instruction(source, attributes, file), lacks)


def _instruction(source: LiberoHdf5Source, attributes: Mapping[str, Any], file: Path) -> str:
    """LIBERO keeps it in ``problem_info``; older files have it in the name alone."""
    if (task := task_name(file)) in source.instructions:
        return read_instruction(source.instructions[task])
    if "problem_info" in attributes:
        return read_instruction(json.loads(attributes["problem_info"])["language_instruction"])
    return instruction_of_name(task)


@dataclass(frozen=True)
class _Place:
    """Where a demonstration is."""

    source: LiberoHdf5Source
    robot: RobotContract
    keys: Keys
    suite: str
    file: Path
    demo: str

    @property
    def where(self) -> str:
        return f"{self.file}: {self.source.demonstrations}/{self.demo}"

    def read(self, instruction: str) -> Demonstration:
        source, robot = self.source, self.robot
        with open_file(self.file) as content:
            group = group_at(group_at(content, source.demonstrations), self.demo)
            key = TAUGHT_ACTIONS if source.action == "actions" and has(group, TAUGHT_ACTIONS) else source.action
            actions = read_groups(robot.action, key, partial(values_at, group), "action")
            taught = values_at(group, TAUGHT).astype(bool) if has(group, TAUGHT) else all_taught(len(actions))
            stated = group.attrs.get("num_samples", len(actions))
            obs = group_at(group, source.observations)
            proprio = read_groups(robot.state, self.keys.state, partial(values_at, obs), "state")
            is_rendered = not any(has(obs, name) for name in self.keys.frames.values())
        if not len(actions) == len(proprio) == stated:
            raise DemonstrationError(
                f"unequal lengths: {len(actions)} actions, {len(proprio)} states, num_samples {stated}"
            )
        origin = FrameOrigin(source.orientation)
        if is_rendered:
            looks = "" if source.looks is None else json.dumps(dump(source.looks), sort_keys=True)
            origin = FrameOrigin(render_size=source.render_size, looks=looks)
        elif source.looks is not None:
            raise DemonstrationError("`looks` is given and frames are stored: only rendered frames can look otherwise")
        return Demonstration(
            suite=self.suite,
            task=task_name(self.file),
            episode=f"episode_{_number(self.demo)}",
            instruction=instruction,
            robot=robot,
            actions=as_commanded(source, robot, actions),
            proprio=proprio,
            taught=taught,
            load_frames=self.load_frames,
            frame_origin=origin,
            source=self.where,
        )

    def load_frames(self) -> Mapping[str, np.ndarray]:
        source, frames = self.source, {}
        with open_file(self.file) as content:
            obs = group_at(group_at(group_at(content, source.demonstrations), self.demo), source.observations)
            for camera, name in self.keys.frames.items():
                if has(obs, name):
                    frames[camera] = source.orientation.to_upright(values_at(obs, name))
        if frames or source.render_size is None:
            return frames
        return _render_frames(self.file, self.demo, tuple(self.keys.frames), source.render_size, source.looks)


def _render_frames(
    file: Path, demo: str, cameras: tuple[str, ...], size: int, looks: LookVariation | None
) -> Mapping[str, np.ndarray]:
    from training.collect.replay import RenderConfig, replay  # the simulator, for recorded files only

    return replay(file, demo, RenderConfig(image_size=size, cameras=cameras, looks=looks)).frames


def _number(demo: str) -> int:
    match = re.fullmatch(r"\D*(\d+)", demo)
    if match is None:
        raise ValueError(f"group {demo} is not named after a number, such as demo_3")
    return int(match[1])

"""LIBERO's own HDF5 files: one ``<task>_demo.hdf5`` a task, ``data/demo_N/{actions, obs/…}`` in each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from substep_policy.configuration import configuration
from training.demonstrations.demonstration import (
    Demonstration,
    DemonstrationError,
    FrameOrigin,
    all_taught,
    located,
)
from training.demonstrations.orientation import ImageOrientation

FRAMES = {"agentview": "agentview_rgb", "eye_in_hand": "eye_in_hand_rgb"}
PROPRIO = ("ee_pos", "ee_ori", "gripper_states")
SUFFIX = "_demo.hdf5"
TAUGHT_ACTIONS = "taught_actions"  # of this project's collection: what the demonstrator meant, without the noise
TAUGHT = "taught"


@configuration
class LiberoHdf5Source:
    """A folder of ``<suite>/<task>_demo.hdf5`` files, or of the task files themselves when ``suite`` is given.

    Attributes:
        render_size: side in pixels of frames that a file leaves out (``./substep collect``) and that are rendered
            anew; None takes stored frames only.
        collection: tells these demonstrations from those of other sources of the same tasks.
        labels: their ``substep_labels.json``; None: the one of the whole configuration.
    """

    path: Path
    type: Literal["libero_hdf5"] = "libero_hdf5"
    suite: str | None = None
    orientation: ImageOrientation = ImageOrientation.OPENGL
    render_size: int | None = None
    collection: str = ""
    labels: Path | None = None


def files(source: LiberoHdf5Source) -> list[tuple[str, Path]]:
    """Suite and file of every task.

    Raises:
        DemonstrationError: there are none.
    """
    pattern = f"*{SUFFIX}" if source.suite else f"*/*{SUFFIX}"
    found = sorted(source.path.glob(pattern))
    if not found:
        raise DemonstrationError(f"{source.path} has no {pattern}")
    return [(source.suite or file.parent.name, file) for file in found]


def read(source: LiberoHdf5Source) -> Iterator[Demonstration | DemonstrationError]:
    """Every demonstration, or in its place the error that says why it cannot be had."""
    for suite, file in files(source):
        try:
            with h5py.File(file) as content:
                demos = sorted(content["data"], key=_number)
                instruction = _instruction(content["data"], file)
        except (OSError, KeyError, ValueError) as error:
            yield DemonstrationError(f"{file}: not a LIBERO demonstration file: {error}")
            continue
        for demo in demos:
            try:
                yield _read_demo(source, suite, file, demo, instruction)
            except (OSError, KeyError, ValueError, RuntimeError) as error:
                yield located(error, f"{file}: data/{demo}")


def task_name(file: Path) -> str:
    """The task of a file, with the scene in front if there is one: libero_90 has some tasks in several scenes."""
    return file.name.removesuffix(SUFFIX)


def _read_demo(source: LiberoHdf5Source, suite: str, file: Path, demo: str, instruction: str) -> Demonstration:
    with h5py.File(file) as content:
        group = content["data"][demo]
        actions = group[TAUGHT_ACTIONS if TAUGHT_ACTIONS in group else "actions"][:].astype(np.float32)
        taught = group[TAUGHT][:].astype(bool) if TAUGHT in group else all_taught(len(actions))
        parts = [group["obs"][name][:] for name in PROPRIO]
        is_rendered = not any(name in group["obs"] for name in FRAMES.values())
    lengths = {name: len(part) for name, part in zip(PROPRIO, parts, strict=True)}
    if set(lengths.values()) != {len(actions)}:
        raise DemonstrationError(f"unequal lengths: {len(actions)} actions, {lengths}")
    return Demonstration(
        suite=suite,
        task=task_name(file),
        episode=f"episode_{_number(demo)}",
        instruction=instruction,
        actions=actions,
        proprio=np.concatenate(parts, axis=1).astype(np.float32),
        taught=taught,
        load_frames=partial(_load_frames, file, demo, source.orientation, source.render_size),
        frame_origin=FrameOrigin(render_size=source.render_size) if is_rendered else FrameOrigin(source.orientation),
        source=f"{file}: data/{demo}",
    )


def _load_frames(
    file: Path, demo: str, orientation: ImageOrientation, render_size: int | None
) -> Mapping[str, np.ndarray]:
    try:
        with h5py.File(file) as content:
            obs = content["data"][demo]["obs"]
            frames = {camera: orientation.to_upright(obs[name][:]) for camera, name in FRAMES.items() if name in obs}
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise DemonstrationError(f"{file}: data/{demo}: frames cannot be read: {error}") from error
    return frames if frames or render_size is None else _render_frames(file, demo, render_size)


def _render_frames(file: Path, demo: str, size: int) -> Mapping[str, np.ndarray]:
    from training.replay import ReplayConfig, ReplayError, replay  # the simulator, for recorded files only

    try:
        return replay(file, demo, ReplayConfig(image_size=size, cameras=tuple(FRAMES))).frames
    except ReplayError as error:
        raise DemonstrationError(str(error)) from error


def _instruction(data: h5py.Group, file: Path) -> str:
    """LIBERO keeps it in ``problem_info``; older files have it in the name alone."""
    if "problem_info" in data.attrs:
        return json.loads(data.attrs["problem_info"])["language_instruction"].strip('"').strip().lower()
    return re.sub(r"^[A-Z0-9_]+_SCENE\d+_", "", task_name(file)).replace("_", " ")


def _number(demo: str) -> int:
    match = re.fullmatch(r"demo_(\d+)", demo)
    if match is None:
        raise ValueError(f"group data/{demo} is not named demo_N")
    return int(match[1])

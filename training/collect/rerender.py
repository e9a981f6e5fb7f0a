"""Adds frames and states to collected demonstrations.

Writes the files anew in LIBERO's layout with ``obs/agentview_rgb``, ``obs/eye_in_hand_rgb`` (upside down, as LIBERO's
own are) at any size, and the simulated world's states (``training.data.libero_layout``). Files that are there already
are left alone, so it may be stopped and started again.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import h5py
from tqdm import tqdm

from libero_bridge.tasks import ROBOT
from substep_core.contract import load_robot
from training.collect.replay import RenderConfig, replay
from training.data.libero_layout import IMAGE_CONVENTION, TaskReference, write_ends, write_states, write_task_attributes
from training.data.readers import LiberoHdf5Source
from training.data.readers.libero_hdf5 import FRAMES, files
from training.data.readers.orientation import ImageOrientation
from training.whole_file import whole_file
from training.workers import parallel_map


def rerender_file(source: Path, target: Path, config: RenderConfig) -> int:
    """One task's file with frames and states; -> the number of its demonstrations. A crash leaves no half file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    robot = load_robot(ROBOT)
    with whole_file(target) as draft, h5py.File(shutil.copy(source, draft), "a") as file:
        data = file["data"]
        write_task_attributes(data, TaskReference.of(data.attrs).task())
        data.attrs["macros_image_convention"] = IMAGE_CONVENTION
        for demo, group in data.items():
            replayed = replay(source, demo, config)
            for camera, frames in replayed.frames.items():
                frames = ImageOrientation.OPENGL.to_upright(frames)
                group["obs"].create_dataset(FRAMES[robot.camera(camera).role], data=frames, chunks=True)
            write_ends(group, len(group["actions"]))
            write_states(group, replayed.states, replayed.joint_states, replayed.robot_states)
        return len(data)


def rerender(source: Path, out: Path, config: RenderConfig, workers: int) -> int:
    """All files of a folder; -> the number of demonstrations written."""
    pairs = [(file, out / file.relative_to(source)) for _, file in files(LiberoHdf5Source(path=source))]
    missing = [(file, target) for file, target in pairs if not target.exists()]
    counts = parallel_map(partial(_rerender_pair, config=config), missing, workers)
    written = sum(tqdm(counts, total=len(missing), unit="task"))
    for extra in source.glob("*.json"):
        shutil.copy(extra, out / extra.name)
    return written


def _rerender_pair(pair: tuple[Path, Path], config: RenderConfig) -> int:
    return rerender_file(*pair, config)

"""Adds frames and states to collected ones: ``python -m training.rerender data/demonstrations --out data/full``.

Writes the files anew in LIBERO's layout with ``obs/agentview_rgb``, ``obs/eye_in_hand_rgb`` (upside down, as LIBERO's
own are) at any size, and the simulated world's states (``training.libero_layout``). Files that are there already are
left alone, so it may be stopped and started again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import h5py
from tqdm import tqdm

from libero_bridge.tasks import load_task
from training.demonstrations import DemonstrationError, LiberoHdf5Source
from training.demonstrations.libero_hdf5 import FRAMES, files
from training.demonstrations.orientation import ImageOrientation
from training.libero_layout import IMAGE_CONVENTION, write_ends, write_states, write_task_attributes
from training.replay import ReplayConfig, ReplayError, replay
from training.store import parallel_map


def rerender_file(source: Path, target: Path, config: ReplayConfig) -> int:
    """One task's file with frames and states; -> the number of its demonstrations. A crash leaves no half file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.copy(source, unfinished)
    with h5py.File(unfinished, "a") as file:
        data = file["data"]
        write_task_attributes(data, load_task(str(data.attrs["suite"]), int(data.attrs["task_index"])))
        data.attrs["macros_image_convention"] = IMAGE_CONVENTION
        for demo, group in data.items():
            replayed = replay(source, demo, config)
            for camera, frames in replayed.frames.items():
                frames = ImageOrientation.OPENGL.to_upright(frames)
                group["obs"].create_dataset(FRAMES[camera], data=frames, chunks=True)
            write_ends(group, len(group["actions"]))
            write_states(group, replayed.states, replayed.joint_states, replayed.robot_states)
        count = len(data)
    os.replace(unfinished, target)
    return count


def rerender(source: Path, out: Path, config: ReplayConfig, workers: int) -> int:
    """All files of a folder; -> the number of demonstrations written."""
    pairs = [(file, out / file.relative_to(source)) for _, file in files(LiberoHdf5Source(path=source))]
    missing = [(file, target) for file, target in pairs if not target.exists()]
    counts = parallel_map(partial(_rerender_pair, config=config), missing, workers)
    written = sum(tqdm(counts, total=len(missing), unit="task"))
    for extra in source.glob("*.json"):
        shutil.copy(extra, out / extra.name)
    return written


def _rerender_pair(pair: tuple[Path, Path], config: ReplayConfig) -> int:
    return rerender_file(*pair, config)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m training.rerender", description=__doc__)
    parser.add_argument("source", type=Path, help="folder of ./substep collect")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=128, help="side of the frames in pixels")
    parser.add_argument("--assets", default="embedded", help="embedded, libero, or a folder")
    parser.add_argument("--workers", type=int, default=2, help="processes; 0 renders in this one")
    options = parser.parse_args(arguments)
    try:
        count = rerender(
            options.source, options.out, ReplayConfig(options.size, assets=options.assets), options.workers
        )
    except (DemonstrationError, ReplayError, OSError, ValueError) as error:
        print(f"rerender: {error}", file=sys.stderr)
        return 1
    print(f"{count} demonstrations in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Recordings on disk: one small file an episode while collecting, LIBERO's HDF5 layout a task when done.

The HDF5 files leave the frames out, and the simulated world's states: ``init_state_index``, ``seed`` and ``placement``
of a demonstration and its ``actions`` give them again, exactly (``training.collect.replay``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from libero_bridge.tasks import ROBOT, LiberoTask
from substep_core.contract import load_robot
from substep_core.episode import Placement
from substep_core.plan import plan_from_json, steps_to_json
from training.collect.recording import DemonstrationStart, Recording
from training.data.grippers import gripper_commands
from training.data.libero_layout import ARM_DISTANCE, INIT_STATE_INDEX, write_ends, write_task_attributes
from training.data.readers.libero_hdf5 import STATE, SUFFIX, TAUGHT, TAUGHT_ACTIONS
from training.labels.file import EpisodeLabels, labels_from_boundaries
from training.labels.segmentation import gripper_closed
from training.whole_file import whole_file

COMPRESSION = {"compression": "gzip", "compression_opts": 9, "shuffle": True}


def save_recording(path: Path, recording: Recording) -> None:
    """Write one episode; a crash leaves no half file."""
    start = recording.start
    header = {
        "init_state": start.init_state,
        "seed": start.seed,
        "placement": start.placement.value,
        "noise": start.noise,
        "arm_distance": start.arm_distance,
        "ends": list(recording.ends),
        "substeps": steps_to_json(recording.substeps),
    }
    with whole_file(path) as draft, draft.open("wb") as file:
        np.savez_compressed(
            file,
            header=np.array(json.dumps(header)),
            actions=recording.actions,
            taught_actions=recording.taught_actions,
            taught=recording.taught,
            proprio=recording.proprio,
        )


def load_recording(path: Path) -> Recording:
    """What ``save_recording`` wrote."""
    with np.load(path) as content:
        header = json.loads(str(content["header"]))
        arrays = {name: content[name] for name in ("actions", "taught_actions", "taught", "proprio")}
    start = DemonstrationStart(
        header["init_state"],
        header["seed"],
        Placement(header["placement"]),
        header["noise"],
        header.get("arm_distance", 0.0),
    )
    substeps = plan_from_json("recording", header["substeps"], str(path)).substeps
    return Recording(start=start, ends=tuple(header["ends"]), substeps=substeps, **arrays)


def labels_of(recording: Recording, instruction: str) -> EpisodeLabels:
    """The true labels of a recorded episode."""
    closed = gripper_closed(gripper_commands(load_robot(ROBOT), recording.actions)[:, 0], hold=1)
    openings = np.cumsum(np.diff(closed.astype(int), prepend=0) == -1)
    return labels_from_boundaries(instruction, recording.substeps, recording.ends, openings)


def write_task_file(path: Path, tasks_from: str, task: LiberoTask, recordings: Sequence[Recording]) -> None:
    """``<task>_demo.hdf5`` with ``demo_0`` to ``demo_N``; a crash leaves the old file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as draft, h5py.File(draft, "w", libver="latest") as file:
        data = file.create_group("data")
        write_task_attributes(data, task)
        data.attrs["tasks_from"], data.attrs["suite"], data.attrs["task_index"] = tasks_from, task.suite, task.index
        data.attrs["num_demos"], data.attrs["total"] = len(recordings), sum(len(r.actions) for r in recordings)
        for number, recording in enumerate(recordings):
            _write_demo(data.create_group(f"demo_{number}"), recording)


def _write_demo(group: h5py.Group, recording: Recording) -> None:
    start = recording.start
    attributes = {"num_samples": len(recording.actions), INIT_STATE_INDEX: start.init_state, "seed": start.seed}
    group.attrs.update(attributes | {"placement": start.placement.value, "noise": start.noise})
    group.attrs[ARM_DISTANCE] = start.arm_distance
    group.attrs["substep_boundaries"] = recording.ends
    _compress(group, "actions", recording.actions)
    if not np.array_equal(recording.actions, recording.taught_actions):
        _compress(group, TAUGHT_ACTIONS, recording.taught_actions)
    if not recording.taught.all():
        _compress(group, TAUGHT, recording.taught)
    write_ends(group, len(recording.actions))
    obs = group.create_group("obs")
    robot = load_robot(ROBOT)
    for state in robot.state:
        _compress(obs, STATE[state.quantity], recording.proprio[:, robot.state_slice(state)])


def _compress(group: h5py.Group, name: str, values: np.ndarray) -> None:
    group.create_dataset(name, data=values, chunks=values.shape, **COMPRESSION)


def task_file(out: Path, suite: str, task_name: str) -> Path:
    return out / suite / f"{task_name}{SUFFIX}"

"""Writes demonstrations as folders of runs, one a substep (``training.data.readers.pi05_folders``)."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from substep_core.contract import RobotContract
from substep_policy.models.openvla import jpeg
from training.data.readers import DataSource, Demonstration, ReadReport, read_demonstrations
from training.data.readers.pi05_folders import ACTIONS, INSTRUCTIONS, STATES
from training.data.writers.source_labels import source_labels
from training.labels.file import EpisodeLabels

log = logging.getLogger(__name__)


def write_folders(source: DataSource, robot: RobotContract, out: Path) -> int:
    """TASK/SUBTASK/RUN of all labelled demonstrations, and the instruction file; -> number of runs.

    Raises:
        ValueError: ``out`` holds something, or no demonstration has labels.
        DemonstrationError: the source cannot be read.
    """
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} holds something already: choose a new folder")
    labels = source_labels(source)
    tasks: dict[str, dict] = {}
    runs: Counter[tuple[str, str]] = Counter()
    for demonstration in read_demonstrations([source], robot, ReadReport()):
        found = demonstration.labels or labels.find(demonstration.suite, demonstration.task, demonstration.episode)
        if found is None or len(found) != len(demonstration):
            log.warning("%s has no labels of its length, and is left out", demonstration.source)
            continue
        task = _name(demonstration.instruction)
        entry = tasks.setdefault(task, {"text": demonstration.instruction, "subtasks": {}})
        frames = demonstration.frames()
        for text, steps in _segments(found):
            subtask = _name(text)
            entry["subtasks"].setdefault(subtask, {"text": text})
            runs[task, subtask] += 1
            _write_run(out / task / subtask / f"run_{runs[task, subtask]:03d}", demonstration, frames, steps)
    if not tasks:
        raise ValueError(f"no demonstration in {source.path} has labels: ./substep data label makes them")
    (out / INSTRUCTIONS).write_text(json.dumps({"tasks": tasks}, indent=2) + "\n", encoding="utf-8")
    return sum(runs.values())


def _segments(labels: EpisodeLabels) -> Iterator[tuple[str, np.ndarray]]:
    """Each substep's words and its timesteps."""
    for number, substep in enumerate(labels.substeps):
        if len(steps := np.flatnonzero(labels.substep_index == number)):
            yield substep.instruction.lower(), steps


def _write_run(folder: Path, demonstration: Demonstration, frames, steps: np.ndarray) -> None:
    folder.mkdir(parents=True)
    np.save(folder / ACTIONS, demonstration.actions[steps])
    np.save(folder / STATES, demonstration.proprio[steps])
    for camera, images in frames.items():
        (folder / camera).mkdir()
        for number, image in enumerate(images[steps]):
            (folder / camera / f"{number:06d}.jpg").write_bytes(jpeg.encode(np.ascontiguousarray(image)))


def _name(text: str) -> str:
    return text.lower().replace(" ", "_").replace("/", "_")

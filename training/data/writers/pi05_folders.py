"""Writes demonstrations as folders of runs, one a substep (``training.data.readers.pi05_folders``)."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from itertools import chain, count
from pathlib import Path

import numpy as np

from substep_core.contract import RobotContract
from substep_policy.models.openvla import jpeg
from training.data.readers import DataSource, Demonstration, ReadReport, read_demonstrations
from training.data.readers.pi05_folders import STATES
from training.data.readers.pi05_places import ACTIONS, INSTRUCTIONS, STAGE
from training.data.writers.source_labels import source_labels

LONGEST_NAME = 120  # characters of a folder's

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
    names = FolderNames()
    runs: Counter[tuple[str, str]] = Counter()
    for demonstration in read_demonstrations([source], robot, ReadReport()):
        found = demonstration.labels or labels.find(demonstration.suite, demonstration.task, demonstration.episode)
        if found is None or len(found) != len(demonstration):
            log.warning("%s has no labels of its length, and is left out", demonstration.source)
            continue
        plan = tuple(substep.instruction.lower() for substep in found.substeps)
        task = names.of(demonstration.instruction, plan)  # the same in another order is a task of its own
        within = FolderNames()
        subtasks = {within.of(text, number): {"text": text} for number, text in enumerate(plan)}
        tasks[task] = {"text": demonstration.instruction, "subtasks": subtasks}
        frames = demonstration.frames()
        for number, subtask in enumerate(subtasks):
            if len(steps := np.flatnonzero(found.substep_index == number)):
                runs[task, subtask] += 1
                _write_run(out / task / subtask / f"run_{runs[task, subtask]:03d}", demonstration, frames, steps)
    if not tasks:
        raise ValueError(f"no demonstration in {source.path} has labels: ./substep data label makes them")
    (out / INSTRUCTIONS).write_text(json.dumps({"tasks": tasks}, indent=2) + "\n", encoding="utf-8")
    return sum(runs.values())


def _write_run(folder: Path, demonstration: Demonstration, frames, steps: np.ndarray) -> None:
    folder.mkdir(parents=True)
    np.save(folder / ACTIONS, demonstration.actions[steps])
    np.save(folder / STATES, demonstration.proprio[steps])
    for camera, images in frames.items():
        (folder / camera).mkdir()
        for number, image in enumerate(images[steps]):
            (folder / camera / f"{number:06d}.jpg").write_bytes(jpeg.encode(np.ascontiguousarray(image)))


class FolderNames:
    """Names of folders, beside each other in one."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, object], str] = {}

    def of(self, text: str, which: object) -> str:
        """By the text. Args: which: of those that it is the text of; another one has another name."""
        key = text, which
        if key not in self._taken:
            base = re.sub(r"[^\w.,()'-]+", "_", text.lower())[:LONGEST_NAME]
            if base.startswith(".") or STAGE.fullmatch(base):  # hidden, or another form of such folders
                base = f"_{base}"
            several = (f"{base}_{number}" for number in count(2))
            self._taken[key] = next(name for name in chain([base], several) if name not in self._taken.values())
        return self._taken[key]

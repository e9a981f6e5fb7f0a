"""LIBERO's 130 tasks: sentences, BDDL files and initial states.

Read from LIBERO's files and not through its benchmark module, which imports torch (three seconds) for this.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from libero_bridge.libero_setup import libero_folder, load_module

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
_SCENE_PREFIX = re.compile(r"^[A-Z_]+SCENE\d+_")


@dataclass(frozen=True)
class LiberoTask:
    """One task of a suite. ``instruction`` is the benchmark's sentence, which published policies were trained on."""

    suite: str
    index: int
    name: str
    instruction: str
    bddl_file: Path
    init_states_file: Path

    @property
    def problem_name(self) -> str:
        """LIBERO's kind of scene, such as "libero_tabletop_manipulation"."""
        return re.search(r"\(problem\s+(\w+)\)", self.bddl_file.read_text())[1].lower()

    def init_states(self) -> np.ndarray:
        """(50, 1 + nq + nv) float64: time, qpos, qvel of each benchmark initial state."""
        with zipfile.ZipFile(self.init_states_file) as archive:  # torch.save's format; it holds a plain numpy array
            (content,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
            return np.asarray(pickle.loads(archive.read(content)))


def task_names(suite: str) -> list[str]:
    """Names of a suite's tasks in the benchmark's default order.

    Raises:
        ValueError: there is no such suite.
    """
    if suite not in SUITES:
        raise ValueError(f"unknown suite {suite!r}: expected one of {', '.join(SUITES)}")
    table = libero_folder() / "benchmark" / "libero_suite_task_map.py"
    return load_module("libero_suite_task_map", table).libero_task_map[suite]


def load_task(suite: str, index: int) -> LiberoTask:
    """Looks up a task.

    Raises:
        ValueError: no such suite, or the index is not one of its tasks.
    """
    names = task_names(suite)
    if not 0 <= index < len(names):
        raise ValueError(f"task {index} is not in suite {suite!r}: expected 0 to {len(names) - 1}")
    name, root = names[index], libero_folder()
    instruction = _SCENE_PREFIX.sub("", name).replace("_", " ")
    bddl_file = root / "bddl_files" / suite / f"{name}.bddl"
    return LiberoTask(suite, index, name, instruction, bddl_file, root / "init_files" / suite / f"{name}.pruned_init")

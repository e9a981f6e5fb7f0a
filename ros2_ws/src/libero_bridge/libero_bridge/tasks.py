"""LIBERO's tasks: sentences, BDDL files and initial states, and what every LIBERO-like task is.

Read from LIBERO's files and not through its benchmark module, which imports torch (three seconds) for this.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from libero_bridge.libero_setup import libero_folder, load_module
from substep_core.tasks import (
    PLAIN,
    Split,
    SplitName,
    Stratum,
    check_suite,
    check_task_index,
    standard_splits,
    task_source,
)

LIBERO = "libero"  # the source's name
ROBOT = "libero_panda"  # of LIBERO's world
INIT_STATES = 50  # of every task of LIBERO's; as many are drawn for a task that brings none
DRAWN_START = "start drawn"  # a variant: the benchmark's initial states are not there
MAX_STATES_BYTES = 2**28  # of a file: a hundred times those of LIBERO's
_GROUND = ("table", "floor")  # how LIBERO calls what everything stands on
_SCENE_PREFIX = re.compile(r"^[A-Z_]+SCENE\d+_")


class WorldChange(Protocol):
    """What a task changes in the world beyond its BDDL file."""

    def prepare(self, env) -> None:
        """Once, before the first reset of the robosuite environment: cameras' poses, the arm's first joint angles."""

    def image(self, camera: str, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright -> the same, as the camera is to give it. ``generator`` is seeded at resets."""


@dataclass(frozen=True)
class LiberoTask:
    """A task that LIBERO's BDDL describes, see ``substep_core.tasks.Task``.

    Attributes:
        init_states_file: ``torch.save``'s of a numpy array, or .npy; None: LIBERO's reset draws the states.
        change: what else is different in its world.
        base: suite and name of the task that this one is a perturbation of; None: of none.
        variant: how it departs from what its benchmark describes, in a few words; "": not at all.
        native: the task as its benchmark shows it, where that needs an asset tree other than LIBERO's.
        scene_file: MJCF of the arena; None: LIBERO's.
        object_files: category of an object that LIBERO does not have -> its MJCF.
        model_filter: changes the whole model's MJCF text before it is compiled.
        arm_start: (7,) rad, joint angles that each initial state begins with; None: its own.
    """

    suite: str
    index: int
    name: str
    instruction: str
    bddl_file: Path
    init_states_file: Path | None
    category: str = ""
    difficulty: int | None = None
    change: WorldChange | None = None
    variant: str = ""
    base: tuple[str, str] | None = None
    native: Native | None = None
    scene_file: Path | None = None
    object_files: Mapping[str, Path] = field(default_factory=dict)
    arm_start: tuple[float, ...] | None = None
    model_filter: Callable[[str], str] | None = None

    def in_assets(self, folder: Path | None) -> LiberoTask:
        """The task as its benchmark shows it, where the asset tree has what that takes; else this one."""
        found = self.native.found_in(folder) if self.native and folder else None
        return found or self

    @property
    def problem_name(self) -> str:
        """LIBERO's kind of scene, such as "libero_tabletop_manipulation"."""
        return re.search(r"\(problem\s+(\w+)\)", self.bddl_file.read_text())[1].lower()

    @property
    def categories(self) -> Counter[str]:
        """How many things of each category its scene has, fixtures among them, without what they stand on."""
        text = self.bddl_file.read_text(encoding="utf-8")
        blocks = re.findall(r"\(:(?:fixtures|objects)\s+([^)]*)\)", text)
        found: Counter[str] = Counter()
        for names, kind in (row for block in blocks for row in re.findall(r"([^-]+?)\s+-\s+(\S+)", block)):
            found[kind] += len(names.split())
        return Counter({kind: number for kind, number in found.items() if not kind.endswith(_GROUND)})

    def init_states(self) -> np.ndarray | None:
        """(N, 1 + nq + nv) float64: time, qpos, qvel of each initial state.

        Raises:
            ValueError: the file holds something else.
        """
        if self.init_states_file is None:
            return None
        states = read_init_states(self.init_states_file)
        if self.arm_start is not None:  # qpos begins with the arm's joints
            states[:, 1 : 1 + len(self.arm_start)] = self.arm_start
        return states


@dataclass(frozen=True)
class Native:
    """A task whose scene or objects come with a benchmark's own asset tree.

    Attributes:
        task: the same task, but for these files.
        scene: of the arena's MJCF, a pattern below the asset tree; "": LIBERO's arena.
        objects: category -> the same for an object.
    """

    task: LiberoTask
    scene: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)

    def found_in(self, folder: Path) -> LiberoTask | None:
        """The task with its files; None: one of them is not there."""
        patterns = [self.scene] if self.scene else []
        found = [next(iter(sorted(folder.glob(pattern))), None) for pattern in (*patterns, *self.objects.values())]
        if None in found:
            return None
        scene = found.pop(0) if self.scene else None
        return replace(self.task, scene_file=scene, object_files=dict(zip(self.objects, found, strict=True)))


class LiberoSource:
    """LIBERO's 130 tasks. An instruction is the benchmark's sentence, which published policies were trained on."""

    suites = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
    default_suites = suites[:4]

    @property
    def splits(self) -> Mapping[SplitName, Split]:
        """Which initial states and seeds are for what."""
        return standard_splits(INIT_STATES)

    def names(self, suite: str) -> tuple[str, ...]:
        """Names of a suite's tasks in the benchmark's default order. Raises: ValueError: there is no such suite."""
        check_suite(suite, self.suites)
        return tuple(self._names[suite])

    def playable(self, suite: str) -> Mapping[int, Stratum]:
        """All. Raises: ValueError: there is no such suite."""
        return dict.fromkeys(range(len(self.names(suite))), PLAIN)

    def task(self, suite: str, index: int) -> LiberoTask:
        """Raises: ValueError: no such suite, or the index is not one of its tasks."""
        names = self.names(suite)
        check_task_index(suite, index, len(names))
        name, root = names[index], libero_folder()
        return LiberoTask(
            suite,
            index,
            name,
            instruction=without_scene(name).replace("_", " "),
            bddl_file=root / "bddl_files" / suite / f"{name}.bddl",
            init_states_file=root / "init_files" / suite / f"{name}.pruned_init",
        )

    @cached_property
    def _names(self) -> Mapping[str, list[str]]:
        table = libero_folder() / "benchmark" / "libero_suite_task_map.py"
        return load_module("libero_suite_task_map", table).libero_task_map


def create(folder: Path | None) -> LiberoSource:
    """The entry of ``substep.task_sources``. Raises: ValueError: a folder was given."""
    if folder is not None:
        raise ValueError(f"task source {LIBERO!r} takes no folder, but was given {folder}")
    return LiberoSource()


def without_scene(name: str) -> str:
    """``KITCHEN_SCENE3_turn_on_the_stove`` -> ``turn_on_the_stove``."""
    return _SCENE_PREFIX.sub("", name)


def libero_task(tasks_from: str, suite: str, index: int) -> LiberoTask:
    """Raises: ValueError: there is no such source, suite or task, or LIBERO's world cannot show it."""
    task = task_source(tasks_from).task(suite, index)
    if not isinstance(task, LiberoTask):
        raise ValueError(
            f"tasks of {tasks_from!r} are for another world: {task.name!r} has no BDDL file; `sim` and "
            "`eval --through graph` take the world's name, --world"
        )
    return task


def read_init_states(file: Path) -> np.ndarray:
    """(N, D) float64 of a ``torch.save`` archive that holds a numpy array (LIBERO's .pruned_init), or of a .npy file.

    Raises:
        ValueError: the file holds something else; nothing that it names is run.
    """
    try:
        states = np.load(file, allow_pickle=False) if file.suffix == ".npy" else _read_archive(file)
        states = np.atleast_2d(np.asarray(states, np.float64))
    except Exception as error:  # a pickle that is broken on purpose raises what it likes
        raise ValueError(f"{file} holds no initial states: {error or type(error).__name__}") from error
    if states.ndim != 2 or not np.isfinite(states).all() or not len(states):
        raise ValueError(f"{file} holds an array {states.shape}, expected (initial states, values), all finite")
    return states


def _read_archive(file: Path) -> Any:
    with zipfile.ZipFile(file) as archive:
        (content,) = (entry for entry in archive.infolist() if entry.filename.endswith("data.pkl"))
        if content.file_size > MAX_STATES_BYTES:
            raise ValueError(f"it says {content.file_size} bytes, expected at most {MAX_STATES_BYTES}")
        with archive.open(content) as stream:
            return _ArrayUnpickler(stream).load()


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numpy arrays and nothing else: a folder of tasks may come from anywhere."""

    _ALLOWED = {"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "numpy.ndarray",
                "numpy.dtype", "_codecs.encode"}  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it is not a plain numpy array (it names {module}.{name})")
        return super().find_class(module, name)

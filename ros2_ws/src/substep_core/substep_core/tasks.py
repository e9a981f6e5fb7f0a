"""Task sources: what a world's tasks are called, what they ask for and how their episodes start.

A source is written ``NAME`` (an entry point in ``substep.task_sources``), ``NAME:FOLDER`` (one that reads its tasks
there) or ``FOLDER``, short for ``bddl:FOLDER``. Sources are cheap to open: they import no simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np

from substep_core.registry import Registry

SplitName = Literal["evaluation", "training"]
EVALUATION_STATES = 20  # of a task's initial states the first ones, as the benchmark's own evaluations take them
EVALUATION_SEEDS = range(0, 1_000_000)
TRAINING_SEEDS = range(1_000_000, 2_000_000)
EMBEDDED_ASSETS, LIBERO_ASSETS = "embedded", "libero"  # meshes and textures: the project's own, LIBERO's own


@dataclass(frozen=True)
class Split:
    """Where episodes may start, and what their seeds may be. Nothing that is reported was trained on."""

    init_states: range
    seeds: range


@dataclass(frozen=True)
class Stratum:
    """A kind of tasks that samples are drawn evenly from: ``Task.category`` and ``Task.difficulty``."""

    category: str = ""
    difficulty: int | None = None


PLAIN = Stratum()  # of tasks that nothing was done to


class Task(Protocol):
    """One task.

    Attributes:
        index: place within the suite, from 0.
        name: unique within the suite; names files.
        instruction: what the policy or the planner is told.
        category, difficulty: of a perturbed task, for reports; "" and None where the source knows none.
        variant: how it departs from what its benchmark describes, for reports; "": not at all.
        base: of a perturbed task, suite and name of LIBERO's plain one, whose demonstrations are replayed for it;
            None: its own.
    """

    suite: str
    index: int
    name: str
    instruction: str
    category: str
    difficulty: int | None
    variant: str
    base: tuple[str, str] | None

    def init_states(self) -> np.ndarray | None:
        """(N, D) float64, a row an initial state as the world understands it; None: the world draws them."""


def base_of(task: Task) -> tuple[str, str]:
    """Suite and name of the task that a perturbed one was, else its own."""
    return task.base or (task.suite, task.name)


class TaskSource(Protocol):
    """Attributes:
    suites: all suites' names, in the order of reports.
    default_suites: those evaluated and collected where none is named.
    splits: which initial states and seeds are for training, which for evaluation.
    """

    suites: tuple[str, ...]
    default_suites: tuple[str, ...]

    @property
    def splits(self) -> Mapping[SplitName, Split]: ...

    def names(self, suite: str) -> tuple[str, ...]:
        """The suite's tasks by index. Raises: ValueError: there is no such suite."""

    def playable(self, suite: str) -> Mapping[int, Stratum]:
        """Index -> kind of each task whose files are there. Raises: ValueError: there is no such suite."""

    def task(self, suite: str, index: int) -> Task:
        """Raises: ValueError: there is no such suite or task, or its files are damaged."""


TASK_SOURCES: Registry[Callable[[Path | None], TaskSource]] = Registry("task source", "substep.task_sources")
TASKS_FROM_HELP = "whose tasks: a task source's name, NAME:FOLDER, or a folder of SUITE/NAME.bddl"
FOLDER_SOURCE = "bddl"  # what a folder alone stands for


def task_source(tasks_from: str) -> TaskSource:
    """The source that ``tasks_from`` names.

    Raises:
        ValueError: there is no such source, or it cannot read the folder.
    """
    name, folder = _parse(tasks_from)
    return _open(name, folder)


def absolute_tasks_from(tasks_from: str) -> str:
    """The same source for processes in another working directory."""
    name, folder = _parse(tasks_from)
    return name if folder is None else f"{name}:{folder}"


def standard_splits(init_states: int) -> Mapping[SplitName, Split]:
    """The first initial states are for evaluation, the others for training.

    Args:
        init_states: how many every task of the source has.
    """
    evaluated = min(init_states, EVALUATION_STATES)
    return MappingProxyType(
        {
            "evaluation": Split(range(evaluated), EVALUATION_SEEDS),
            "training": Split(range(evaluated, init_states), TRAINING_SEEDS),
        }
    )


def check_suite(suite: str, suites: tuple[str, ...]) -> None:
    """Raises: ValueError: it is not one of them."""
    if suite not in suites:
        raise ValueError(f"unknown suite {suite!r}: expected one of {', '.join(suites)}")


def check_task_index(suite: str, index: int, count: int) -> None:
    """Raises: ValueError: the suite has no such task."""
    if not 0 <= index < count:
        raise ValueError(f"task {index} is not in suite {suite!r}: expected 0 to {count - 1}")


def _parse(tasks_from: str) -> tuple[str, Path | None]:
    if tasks_from in TASK_SOURCES:
        return tasks_from, None
    name, separator, folder = tasks_from.partition(":")
    if separator and name in TASK_SOURCES:
        return name, Path(folder).expanduser().resolve()
    if tasks_from and Path(tasks_from).expanduser().is_dir():
        return FOLDER_SOURCE, Path(tasks_from).expanduser().resolve()
    raise ValueError(
        f"unknown task source {tasks_from!r}: expected one of {TASK_SOURCES.listing}, one of these and a folder "
        "(NAME:FOLDER), or a folder of BDDL files (there is none of that name)"
    )


@lru_cache(maxsize=8)
def _open(name: str, folder: Path | None) -> TaskSource:
    return TASK_SOURCES.load(name)(folder)

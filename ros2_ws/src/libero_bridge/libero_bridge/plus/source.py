"""LIBERO-plus as a task source: its names, categories and difficulty levels, on LIBERO as it is installed.

Three entries of ``substep.task_sources`` differ in one thing each: ``libero_plus`` tells the ``(:language …)`` of the
BDDL file and starts the arm as the benchmark does; ``libero_plus_published_prompt`` tells what published runners told,
the file's name with its suffix; ``libero_plus_true_joints`` puts the arm where the task's name says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from libero_bridge.bddl_folder import read_instruction
from libero_bridge.derived_bddl import keep_bddl, object_categories, problem_name, with_categories, with_problem
from libero_bridge.libero_setup import libero_folder
from libero_bridge.plus.change import PlusChange
from libero_bridge.plus.folder import PlusEntry, PlusFolder, read_folder
from libero_bridge.plus.names import PlusName, parse_name
from libero_bridge.plus.objects import foreign_categories, stand_ins
from libero_bridge.plus.robot_start import start_joints
from libero_bridge.tasks import DRAWN_START, LiberoTask, Native, without_scene
from substep_core.tasks import Split, SplitName, Stratum, check_suite, check_task_index, standard_splits

EMBEDDED = "embedded"
_PROBLEM = re.compile(r"(libero_(?:\w+?_)?manipulation)_(\w+)", re.IGNORECASE)
OBJECT_FILES = "new_objects/{}/**/*.xml"  # below LIBERO-plus's assets; a number at the end of a category is of a copy


class Departure(StrEnum):
    """What is done otherwise than in ``libero_plus``; the value stands in a task's ``variant``."""

    NONE = ""
    PUBLISHED_PROMPT = "published prompt"
    TRUE_JOINTS = "true joints"


@dataclass(frozen=True)
class LiberoPlus:
    """LIBERO-plus's tasks, each with one initial state. Evaluation only: the benchmark trains on none of them."""

    folder: PlusFolder
    departure: Departure = Departure.NONE

    @property
    def suites(self) -> tuple[str, ...]:
        return tuple(self.folder.entries)

    @property
    def default_suites(self) -> tuple[str, ...]:
        return self.suites

    @property
    def splits(self) -> Mapping[SplitName, Split]:
        return standard_splits(1)

    def names(self, suite: str) -> tuple[str, ...]:
        """In the order of the benchmark's ids, which count from 1. Raises: ValueError: there is no such suite."""
        check_suite(suite, self.suites)
        return tuple(entry.name for entry in self.folder.entries[suite])

    def playable(self, suite: str) -> Mapping[int, Stratum]:
        """Those whose BDDL file is there. Raises: ValueError: there is no such suite."""
        check_suite(suite, self.suites)
        return self._playable[suite]

    def task(self, suite: str, index: int) -> LiberoTask:
        """Raises: ValueError: no such suite or task, or its BDDL file is missing or damaged."""
        check_task_index(suite, index, len(self.names(suite)))
        entry = self.folder.entries[suite][index]
        name = parse_name(entry.name)
        file = self.folder.bddl_file(suite, name.file)
        if not file.is_file():
            raise ValueError(f"{suite} task {index} of LIBERO-plus cannot be played: there is no {file}")
        task = LiberoTask(
            suite,
            index,
            entry.name,
            self._instruction(entry, file),
            file,
            libero_folder() / "init_files" / suite / f"{name.base}.pruned_init",
            entry.category,
            entry.difficulty,
            PlusChange(name),
            variant=self.departure.value if self._departs(entry, name) else "",
            base=(suite, name.base),
        )
        if name.look:
            return _with_look(task, name)
        if name.own_layout:
            return _with_layout(task, self.folder.init_file(suite, name.file))
        if name.robot and self.departure is Departure.TRUE_JOINTS:
            return replace(task, arm_start=tuple(start_joints(name.robot)))
        return task

    def _departs(self, entry: PlusEntry, name: PlusName) -> bool:
        return self._tells_name(entry) or self.departure is Departure.TRUE_JOINTS and bool(name.robot)

    def _tells_name(self, entry: PlusEntry) -> bool:
        """Published runners told language tasks their sentence."""
        return self.departure is Departure.PUBLISHED_PROMPT and "_language_" not in entry.name

    def _instruction(self, entry: PlusEntry, file: Path) -> str:
        if self._tells_name(entry):
            return without_scene(entry.name).replace("_", " ")
        return read_instruction(file)

    @cached_property
    def _playable(self) -> Mapping[str, Mapping[int, Stratum]]:
        return {suite: MappingProxyType(dict(self._found(suite))) for suite in self.suites}

    def _found(self, suite: str) -> Iterator[tuple[int, Stratum]]:
        there = {file.stem for file in (self.folder.bddl / suite).glob("*.bddl") if file.stat().st_size}
        for index, entry in enumerate(self.folder.entries[suite]):
            if parse_name(entry.name).file in there:
                yield index, Stratum(entry.category, entry.difficulty)


def create(folder: Path | None) -> LiberoPlus:
    """The entry ``libero_plus``. Raises: ValueError: no folder was given, or it is none of LIBERO-plus."""
    return _create(folder, Departure.NONE)


def create_published_prompt(folder: Path | None) -> LiberoPlus:
    return _create(folder, Departure.PUBLISHED_PROMPT)


def create_true_joints(folder: Path | None) -> LiberoPlus:
    return _create(folder, Departure.TRUE_JOINTS)


def _create(folder: Path | None, departure: Departure) -> LiberoPlus:
    if folder is None:
        raise ValueError(
            "LIBERO-plus needs its files: write libero_plus:FOLDER, a checkout of it or a folder with its table of "
            "tasks and its BDDL files"
        )
    return LiberoPlus(read_folder(folder), departure)


def _with_look(task: LiberoTask, name: PlusName) -> LiberoTask:
    """Lights or textures: drawn here, the benchmark's own scene where the assets have it."""
    text = task.bddl_file.read_text(encoding="utf-8")
    found = _PROBLEM.fullmatch(problem_name(text))
    if found is None:
        raise ValueError(f"{task.bddl_file} has problem {problem_name(text)!r}: expected LIBERO_…_Manipulation_SCENE")
    problem, scene = found.groups()
    plain = replace(task, bddl_file=keep_bddl(task.name, with_problem(text, problem)))
    native = Native(plain, scene=f"scenes/**/{scene}.xml")
    return replace(plain, change=PlusChange(name, (name.look, scene)), variant=_and(EMBEDDED, task), native=native)


def _with_layout(task: LiberoTask, states: Path | None) -> LiberoTask:
    """Objects elsewhere, or new ones: out of LIBERO's own, the benchmark's where the assets have them."""
    variant = task.variant if states else _and(DRAWN_START, task)
    placed = replace(task, init_states_file=states, variant=variant)
    text = task.bddl_file.read_text(encoding="utf-8")
    categories = object_categories(text)
    foreign = foreign_categories(categories.values())
    if not foreign:
        return placed
    chosen = stand_ins(foreign, categories.values())
    known = {instance: chosen.get(category, category) for instance, category in categories.items()}
    return replace(
        task,
        bddl_file=keep_bddl(task.name, with_categories(text, known)),
        init_states_file=None,  # another object would lie in the table
        variant=_and(f"{EMBEDDED}, {DRAWN_START}", task),
        native=Native(placed, objects={category: OBJECT_FILES.format(_kind(category)) for category in foreign}),
    )


def _kind(category: str) -> str:
    return re.sub(r"__\d+$", "", category)


def _and(variant: str, task: LiberoTask) -> str:
    return ", ".join(filter(None, (variant, task.variant)))

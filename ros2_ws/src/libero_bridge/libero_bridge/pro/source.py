"""LIBERO-PRO as a task source: composed from its tables, or read from its own folders of BDDL files and initial states.

Its suites are called as PRO calls them: ``libero_goal_swap``. The instruction is always the BDDL file's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from libero_bridge.bddl_folder import INIT_SUFFIXES, read_instruction
from libero_bridge.derived_bddl import keep_bddl
from libero_bridge.pro import compose
from libero_bridge.pro.appearance import vary
from libero_bridge.pro.tables import FILES, find_tables, other_tasks, read_table
from libero_bridge.tasks import DRAWN_START, INIT_STATES, LiberoSource, LiberoTask
from substep_core.tasks import Split, SplitName, Stratum, check_suite, check_task_index, standard_splits

CATEGORIES = {"object": "Object", "swap": "Position", "lan": "Semantic", "task": "Task", "env": "Environment"}
UNCHANGED = "as the plain task"  # a variant: PRO's own file exchanges nothing
SAME_SCENE = ("lan", "task")  # LIBERO's own initial states hold
PACKAGES = ("libero", "liberopro")  # of a checkout, and of one that is installed beside LIBERO
SUITES = {f"{suite}_{suffix}": (suite, suffix) for suite in LiberoSource.default_suites for suffix in FILES}


@dataclass(frozen=True)
class LiberoPro:
    """The twenty cells of PRO's table, ten tasks each.

    Attributes:
        tables: folder of its tables; None: nothing is composed.
        bddl, init: folders of its own files, SUITE/NAME.bddl; a suite that is there is taken from there.
    """

    tables: Path | None
    bddl: Path | None
    init: Path | None

    @property
    def suites(self) -> tuple[str, ...]:
        return tuple(suite for suite in SUITES if self.tables is not None or self._is_own(suite))

    @property
    def default_suites(self) -> tuple[str, ...]:
        return self.suites

    @property
    def splits(self) -> Mapping[SplitName, Split]:
        return standard_splits(INIT_STATES)

    def names(self, suite: str) -> tuple[str, ...]:
        """LIBERO's, which PRO keeps. Raises: ValueError: there is no such suite."""
        check_suite(suite, self.suites)
        return self._libero.names(SUITES[suite][0])

    def playable(self, suite: str) -> Mapping[int, Stratum]:
        """All that are composed, or whose BDDL file is there. Raises: ValueError: there is no such suite."""
        names = self.names(suite)
        there = {file.stem for file in self._own_files(suite)} or set(names)
        kind = Stratum(CATEGORIES[SUITES[suite][1]])
        return {index: kind for index, name in enumerate(names) if name in there}

    def task(self, suite: str, index: int) -> LiberoTask:
        """Raises: ValueError: no such suite or task, or a table or a file that does not fit."""
        check_task_index(suite, index, len(self.names(suite)))
        plain_suite, suffix = SUITES[suite]
        plain = self._libero.task(plain_suite, index)
        task = replace(plain, suite=suite, category=CATEGORIES[suffix], base=(plain_suite, plain.name))
        return self._own(task) if self._is_own(suite) else self._composed(task, plain_suite, suffix)

    def _is_own(self, suite: str) -> bool:
        return bool(self._own_files(suite))

    def _own_files(self, suite: str) -> list[Path]:
        return list((self.bddl / suite).glob("*.bddl")) if self.bddl else []

    def _own(self, task: LiberoTask) -> LiberoTask:
        file = self.bddl / task.suite / f"{task.name}.bddl"
        if not file.is_file():
            raise ValueError(f"{task.suite} task {task.index} of LIBERO-PRO cannot be played: there is no {file}")
        folder = (self.init or self.bddl) / task.suite
        states = next((at for at in (folder / f"{task.name}{end}" for end in INIT_SUFFIXES) if at.is_file()), None)
        text, plain = file.read_text(encoding="utf-8"), task.bddl_file.read_text(encoding="utf-8")
        made = compose.with_balanced_goal(text)
        unchanged = [UNCHANGED] if text.split() == plain.split() else []
        file = keep_bddl(task.name, made.text) if made.notes else file
        return replace(
            task,
            bddl_file=file,
            init_states_file=states,
            instruction=read_instruction(file),
            variant=", ".join((*made.notes, *unchanged, *(() if states else (DRAWN_START,)))),
        )

    def _composed(self, task: LiberoTask, suite: str, suffix: str) -> LiberoTask:
        tables = self._tables
        try:
            entry = tables[suffix][suite][task.name]
            made = _STEPS[suffix](task.bddl_file.read_text(encoding="utf-8"), entry)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{FILES[suffix]} does not fit {suite} task {task.name!r}: {error!r}") from error
        file = keep_bddl(task.name, made.text)
        same = suffix in SAME_SCENE
        return replace(
            task,
            bddl_file=file,
            instruction=read_instruction(file),
            init_states_file=task.init_states_file if same else None,
            variant=", ".join((*made.notes, *(() if same else (DRAWN_START,)))),
            model_filter=partial(vary, shown=made.shown) if made.shown else None,
        )

    @cached_property
    def _libero(self) -> LiberoSource:
        return LiberoSource()

    @cached_property
    def _tables(self) -> Mapping[str, Any]:
        return {suffix: read_table(self.tables, suffix) for suffix in FILES}


def create(folder: Path | None) -> LiberoPro:
    """The entry ``libero_pro``. Raises: ValueError: no folder was given, or it has neither tables nor suites of PRO."""
    if folder is None:
        raise ValueError("LIBERO-PRO needs its files: write libero_pro:FOLDER, with its tables or its BDDL folders")
    places = [place for place in (*(folder / name / name for name in PACKAGES), folder) if place.is_dir()]
    holders = [holder for place in places for holder in (place / "bddl_files", place)]
    bddl = next((holder for holder in holders if any((holder / suite).is_dir() for suite in SUITES)), None)
    init = next((place / "init_files" for place in places if (place / "init_files").is_dir()), None)
    tables = find_tables(folder)
    if tables is None and bddl is None:
        raise ValueError(
            f"{folder} is no folder of LIBERO-PRO: expected its tables ({', '.join(FILES.values())}), in it or in "
            "libero_ood, or folders such as libero_goal_swap with BDDL files"
        )
    return LiberoPro(tables, bddl, init)


def _known() -> tuple[str, ...]:
    """Categories that LIBERO has and the scene pack draws."""
    from libero_bridge.scenes.catalogue import catalogue

    return tuple(Path(path).stem for path in catalogue() if path.endswith(".xml"))


_STEPS: Mapping[str, Callable[[str, Any], compose.Composed]] = {
    "object": lambda text, entry: compose.with_other_objects(text, entry, _known()),
    "swap": compose.swapped,
    "lan": compose.with_other_words,
    "task": lambda text, entry: compose.with_other_task(text, other_tasks(entry)),
    "env": compose.in_living_room,
}

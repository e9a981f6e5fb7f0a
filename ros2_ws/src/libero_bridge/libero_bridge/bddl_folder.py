"""Tasks from a folder: ``SUITE/NAME.bddl``, and beside it NAME.pruned_init or NAME.npy with initial states.

Without such a file LIBERO's own reset draws them: initial state N is what it draws from seed N.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from libero_bridge.tasks import INIT_STATES, LiberoTask
from substep_core.tasks import PLAIN, Split, SplitName, Stratum, check_suite, check_task_index, standard_splits

_LANGUAGE = re.compile(r"\(\s*:language\s+([^()]*)\)")
_COMMENT = re.compile(r";.*")
INIT_SUFFIXES = (".pruned_init", ".npy")


class BddlFolder:
    """A folder's suites and tasks, both in alphabetical order.

    Raises:
        ValueError: the folder has no ``SUITE/NAME.bddl``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        found = sorted(folder.glob("*/*.bddl"))
        if not found:
            raise ValueError(f"{folder} holds no tasks: expected SUITE/NAME.bddl in it")
        self._files: dict[str, list[Path]] = {}
        for file in found:
            self._files.setdefault(file.parent.name, []).append(file)
        self.suites = self.default_suites = tuple(self._files)

    @cached_property
    def splits(self) -> Mapping[SplitName, Split]:
        """As many initial states as the task with the fewest has.

        Raises:
            ValueError: a file of initial states is damaged.
        """
        tasks = (self.task(suite, index) for suite in self.suites for index in range(len(self._files[suite])))
        states = (task.init_states() for task in tasks)
        return standard_splits(min(INIT_STATES if drawn is None else len(drawn) for drawn in states))

    def names(self, suite: str) -> tuple[str, ...]:
        """Raises: ValueError: there is no such suite."""
        check_suite(suite, self.suites)
        return tuple(file.stem for file in self._files[suite])

    def playable(self, suite: str) -> Mapping[int, Stratum]:
        """All. Raises: ValueError: there is no such suite."""
        return dict.fromkeys(range(len(self.names(suite))), PLAIN)

    def task(self, suite: str, index: int) -> LiberoTask:
        """Raises: ValueError: no such suite, no such task, or its BDDL file says no instruction."""
        check_task_index(suite, index, len(self.names(suite)))
        file = self._files[suite][index]
        states = [file.with_suffix(suffix) for suffix in INIT_SUFFIXES if file.with_suffix(suffix).exists()]
        if len(states) > 1:
            raise ValueError(f"{file} has two files of initial states, {states[0].name} and {states[1].name}")
        return LiberoTask(suite, index, file.stem, read_instruction(file), file, states[0] if states else None)


def create(folder: Path | None) -> BddlFolder:
    """The entry of ``substep.task_sources``. Raises: ValueError: no folder was given, or there are no tasks in it."""
    if folder is None:
        raise ValueError("task source 'bddl' needs a folder: write bddl:FOLDER, or the folder alone")
    return BddlFolder(folder)


def read_instruction(bddl_file: Path) -> str:
    """What ``(:language …)`` says, in lower case as LIBERO's own parser has it.

    Raises:
        ValueError: nothing; or it has parentheses without their others, which LIBERO tells without the file's name.
    """
    text = _COMMENT.sub("", bddl_file.read_text(encoding="utf-8"))
    if (opened := text.count("(")) != (closed := text.count(")")):
        raise ValueError(f"{bddl_file} opens {opened} parentheses and closes {closed}: expected as many")
    found = _LANGUAGE.search(text)
    instruction = " ".join(found[1].split()).lower() if found else ""
    if not instruction:
        raise ValueError(f"{bddl_file} has no instruction: expected (:language …)")
    return instruction

"""Sentences that others wrote for LIBERO's tasks: LIBERO-plus's files SUITE/TASK_language_N.bddl."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from libero_bridge.tasks import LiberoSource, LiberoTask
from substep_core.tasks import Task, base_of

Wordings = Mapping[str, Mapping[str, Sequence[str]]]  # suite -> task, as its file is named -> sentences


@cache
def plus_wordings(folder: Path) -> Wordings:
    """In alphabetic order. Raises: ValueError: there are none."""
    rows: dict[str, dict[str, list[str]]] = {}
    for path in sorted(folder.glob("*/*_language_*.bddl")):
        name = re.sub(r"_language_\d+$", "", path.stem)
        said = re.search(r"\(:language\s+([^)]*)\)", path.read_text(encoding="utf-8"))[1]
        rows.setdefault(path.parent.name, {}).setdefault(name, []).append(said)
    if not rows:
        raise ValueError(f"{folder} has no SUITE/TASK_language_N.bddl")
    return rows


def task_named(suite: str, name: str) -> LiberoTask:
    """LIBERO's task whose name, or file's name, this is. Raises: ValueError: there is none."""
    source = LiberoSource()
    names = [_plain(known) for known in source.names(suite)]
    return source.task(suite, names.index(_plain(name)))


def others_wording(folder: Path, task: Task, episode: int) -> str:
    """A sentence for a task, or for the one that it is a perturbation of; another one each episode.

    Raises:
        ValueError: there is none.
    """
    suite, own = base_of(task)
    for name, wordings in plus_wordings(folder).get(suite, {}).items():
        if _plain(name) == _plain(own):
            return wordings[episode % len(wordings)]
    raise ValueError(f"{folder} has no wordings of task {task.index} of {task.suite}, {own!r}")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower())

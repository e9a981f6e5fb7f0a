"""Where LIBERO-plus's files are in a folder: a checkout of it, or BDDL files with the table of tasks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from libero_bridge.tasks import LiberoSource

SUITES = LiberoSource.default_suites
TABLE = "task_classification.json"
_PACKAGE = Path("libero/libero")  # of a checkout
OWN_STATES = "libero_newobj"  # folder of initial states that are not LIBERO's


@dataclass(frozen=True)
class PlusEntry:
    """A task as the benchmark lists it. ``difficulty``: 1 to 5; None where it says nothing."""

    name: str
    category: str
    difficulty: int | None


@dataclass(frozen=True)
class PlusFolder:
    """Attributes:
    bddl: holds SUITE/NAME.bddl.
    init: holds ``OWN_STATES``; None: there are none.
    entries: suite -> its tasks by index.
    """

    bddl: Path
    init: Path | None
    entries: dict[str, tuple[PlusEntry, ...]]

    def bddl_file(self, suite: str, name: str) -> Path:
        return self.bddl / suite / f"{name}.bddl"

    def init_file(self, suite: str, name: str) -> Path | None:
        """Initial states of a task with a layout of its own; None: they are not there."""
        if self.init is None:
            return None
        folder = self.init / OWN_STATES / suite
        files = (folder / f"{name}{suffix}" for suffix in (".pruned_init", ".init"))
        return next((file for file in files if file.is_file()), None)


def read_folder(folder: Path) -> PlusFolder:
    """Raises: ValueError: the table of tasks or the BDDL files are not there, or the table is damaged."""
    places = (folder / _PACKAGE, folder)
    tables = [place / part for place in places for part in (f"benchmark/{TABLE}", TABLE)]
    table = next((file for file in tables if file.is_file()), None)
    if table is None:
        within = next(folder.glob(f"*/{_PACKAGE}/benchmark/{TABLE}"), None)  # an archive has a folder around it all
        raise ValueError(
            f"{folder} is no folder of LIBERO-plus: expected {TABLE} in it, or in libero/libero/benchmark of a checkout"
            + (f"; {within.relative_to(folder).parts[0]} in it is one" if within else "")
        )
    holders = [place / part for place in places for part in ("bddl_files", ".")]
    bddl = next((holder for holder in holders if any((holder / suite).is_dir() for suite in SUITES)), None)
    if bddl is None:
        raise ValueError(f"{folder} has no BDDL files: expected SUITE/NAME.bddl in it, in bddl_files, or in a checkout")
    inits = [place / "init_files" for place in places]
    init = next((holder for holder in inits if (holder / OWN_STATES).is_dir()), None)
    return PlusFolder(bddl, init, _read_table(table))


def _read_table(file: Path) -> dict[str, tuple[PlusEntry, ...]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        entries = {suite: _entries(suite, content[suite]) for suite in SUITES if suite in content}
        if not entries:
            raise ValueError(f"it has none of {', '.join(SUITES)}")
        return entries
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{file} is no table of LIBERO-plus's tasks ({error!r}): expected suite -> list of "
            '{"id", "name", "category", "difficulty_level"}'
        ) from error


def _entries(suite: str, listed: list[dict[str, Any]]) -> tuple[PlusEntry, ...]:
    ordered = sorted(listed, key=lambda entry: int(entry["id"]))
    if [int(entry["id"]) for entry in ordered] != list(range(1, len(ordered) + 1)):
        raise ValueError(f"the ids of {suite} are not 1 to {len(ordered)}, each once")  # a task is called by its id
    return tuple(map(_entry, ordered))


def _entry(listed: dict[str, Any]) -> PlusEntry:
    level, name, category = listed["difficulty_level"], listed["name"], listed["category"]
    if not (isinstance(name, str) and isinstance(category, str) and category):
        raise ValueError(f"a task is called {name!r} and of category {category!r}")
    return PlusEntry(name, category, None if level is None else int(level))

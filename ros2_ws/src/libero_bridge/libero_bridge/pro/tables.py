"""LIBERO-PRO's tables, and what is known to be wrong in them, mended the same way every time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from substep_core.yaml_mapping import read_mapping

FILES: Mapping[str, str] = {
    "object": "ood_object.yaml",
    "swap": "ood_spatial_relation.yaml",
    "lan": "ood_language.yaml",
    "task": "ood_task.yaml",
    "env": "ood_environment.yaml",
}  # PRO's suffix of a suite's name -> its table
PLACES = (".", "libero_ood", "LIBERO-PRO/libero_ood")


@dataclass(frozen=True)
class OtherTask:
    """What else may be done in a scene.

    Attributes:
        goal: BDDL, balanced.
        mended: the table's parentheses were not.
    """

    instruction: str
    goal: str
    objects: tuple[str, ...]
    mended: bool


def find_tables(folder: Path) -> Path | None:
    """Where the tables are; None: there are none."""
    return next((folder / place for place in PLACES if (folder / place / FILES["object"]).is_file()), None)


def read_table(folder: Path, suffix: str) -> Mapping[str, Mapping[str, Any]]:
    """Suite -> task -> what the table says. Raises: ValueError: the file is missing or no such table."""
    file = folder / FILES[suffix]
    content = read_mapping(file, "a table of LIBERO-PRO's")
    if not all(isinstance(tasks, dict) for tasks in content.values()):
        raise ValueError(f"{file} is no table of LIBERO-PRO's: expected suite -> task -> …")
    return content


def other_tasks(entry: Mapping[str, Any]) -> list[OtherTask]:
    """Raises: KeyError: a goal or its objects are missing."""
    found = []
    for instruction, content in entry.items():
        goal = balanced(content["goal"])
        objects = tuple(content["obj_of_interest"])
        found.append(OtherTask(str(instruction).lower(), goal, objects, goal != str(content["goal"]).strip()))
    return found


def balanced(goal: str) -> str:
    """A goal with a parenthesis for each, and ``(And …)`` around it: the table has three that lack some."""
    text = goal.strip()
    depth, kept = 0, []
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            depth = 0
            continue
        kept.append(letter)
    text = "".join(kept).strip() + ")" * depth
    if text.startswith("And"):
        return f"({text})"
    return text if text.startswith("(And") else f"(And {text})"

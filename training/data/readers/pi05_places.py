"""Where the runs of folders by tasks or by stages are, and what they show by the instruction file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.readers.demonstration import DemonstrationError
from training.data.readers.description import read_description
from training.data.readers.instructions import read_instruction

INSTRUCTIONS = "instructions.json"
ACTIONS = "actions.npy"  # of a run
STAGE = re.compile(r"stage_?(\d+)")


@dataclass(frozen=True)
class RunsPlace:
    """A folder of runs of one subtask.

    Attributes:
        subtasks: of the whole task, in their order; ``number``: which of them this is.
    """

    folder: Path
    task: str
    instruction: str
    subtasks: tuple[str, ...]
    number: int


def find_places(root: Path, instructions: Path | None) -> list[RunsPlace]:
    """Every folder of runs.

    Args:
        instructions: the file; None: ``INSTRUCTIONS`` in the root, where there is one.

    Raises:
        DemonstrationError: neither form, or something has no text.
    """
    path = instructions or root / INSTRUCTIONS
    content = {} if instructions is None and not path.exists() else {"path": path} | read_description(path)
    folders = folders_in(root)
    stages = {folder: int(match[1]) for folder in folders if (match := STAGE.fullmatch(folder.name))}
    if not folders:
        raise DemonstrationError(f"{root} has no folders: expected TASK/SUBTASK/RUN or stage1/RUN")
    if not stages:
        return [place for folder in folders for place in _task_places(folder, content)]
    if len(stages) < len(folders):
        others = ", ".join(folder.name for folder in folders if folder not in stages)
        raise DemonstrationError(f"{root} has stages, and beside them {others}: expected one form or the other")
    numbered: dict[int, Path] = {}
    for folder, number in stages.items():
        if number in numbered:
            raise DemonstrationError(f"{root} has stage {number} twice: {numbered[number].name} and {folder.name}")
        numbered[number] = folder
    return _stage_places(root, numbered, content)


def _stage_places(root: Path, folders: Mapping[int, Path], content: Mapping[str, Any]) -> list[RunsPlace]:
    where = content.get("path", root / INSTRUCTIONS)
    entries = {}
    told = content.get("task_instructions") or []
    if not isinstance(told, list):
        raise DemonstrationError(f"{where}: task_instructions is {told!r}, expected a list of stages")
    for entry in told:
        if not isinstance(entry, Mapping) or type(entry.get("stage")) is not int:
            raise DemonstrationError(f"{where}: task_instructions holds {entry!r}, expected a stage with its number")
        if entry["stage"] in entries:
            raise DemonstrationError(f"{where}: task_instructions has stage {entry['stage']} twice")
        entries[entry["stage"]] = entry
    if lacking := sorted(set(folders) - set(entries)):
        there = ", ".join(map(str, sorted(entries))) or "none"
        raise DemonstrationError(f"{folders[lacking[0]]} has no text: {where} has task_instructions of stages {there}")
    if missing := sorted(set(entries) - set(folders)):
        raise DemonstrationError(
            f"{where} names stage {missing[0]}, and there is no folder stage{missing[0]} in {root}"
        )
    order = sorted(entries)
    tasks = [
        _text(
            entries[n].get("high_level_task") or content.get("high_level_task"), f"stage {n}", where, "high_level_task"
        )
        for n in order
    ]
    subtasks = [_text(entries[n].get("subtask"), f"stage {n}", where, "subtask") for n in order]
    places = []
    for place, number in enumerate(order):
        same = [other for other in range(len(order)) if tasks[other] == tasks[place]]
        steps = tuple(subtasks[other] for other in same)
        name = tasks[place].replace(" ", "_")
        places.append(RunsPlace(folders[number], name, tasks[place], steps, same.index(place)))
    return places


def _task_places(folder: Path, content: Mapping[str, Any]) -> list[RunsPlace]:
    """Of one task. The order of its subtasks is the file's; without it, nothing says which of several comes last."""
    where, there = content.get("path", ""), folders_in(folder)
    if not there:
        raise DemonstrationError(f"{folder} has no folders: expected SUBTASK/RUN in it")
    if any((run / ACTIONS).exists() for run in there):
        raise DemonstrationError(f"{folder} holds runs: expected TASK/SUBTASK/RUN, or folders stage1, stage2, …")
    tasks = content.get("tasks", {})
    entry = tasks.get(folder.name) if isinstance(tasks, Mapping) else None
    if tasks and not isinstance(entry, Mapping):
        raise DemonstrationError(f"{folder} has no text: {where} has tasks {', '.join(map(str, tasks))}")
    if entry is None:
        names = [sub.name for sub in there]
        instruction = read_instruction(folder.name.replace("_", " "))
        texts = {name: read_instruction(name.replace("_", " ")) for name in names}
    else:
        told = entry.get("subtasks") or {}
        if not isinstance(told, Mapping) or not all(isinstance(words, Mapping) for words in told.values()):
            raise DemonstrationError(
                f'{where}: subtasks of {folder.name} are {told!r}, expected {{"{there[0].name}": {{"text": "…"}}}}'
            )
        names = list(told)
        if lacking := [sub for sub in there if sub.name not in told]:
            raise DemonstrationError(f"{lacking[0]} has no text: {where} has subtasks {', '.join(names) or 'none'}")
        instruction = _text(entry.get("text") or content.get("high_level_task"), folder.name, where)
        texts = {name: _text(told[name].get("text"), name, where) for name in names}
    places = []
    for sub in there:
        order = names if entry is not None else [sub.name, *(name for name in names if name != sub.name)]
        steps = tuple(texts[name] for name in order)
        places.append(RunsPlace(sub, folder.name, instruction, steps, order.index(sub.name)))
    return places


def _text(value: Any, of: object, where: object, key: str = "text") -> str:
    if not isinstance(value, str) or not value.strip():
        raise DemonstrationError(f"{where}: {key} of {of} is {value!r}, expected words")
    return read_instruction(value)


def folders_in(folder: Path) -> list[Path]:
    """Raises: DemonstrationError: there is none of the name."""
    if not folder.is_dir():
        raise DemonstrationError(f"{folder} is no folder")
    shown = (path for path in folder.iterdir() if not path.name.startswith("."))  # others are of editors and the like
    return sorted((path for path in shown if path.is_dir()), key=by_number)


def by_number(path: Path) -> tuple[list[int], str]:
    """img_2 comes before img_10."""
    return [int(number) for number in re.findall(r"\d+", path.stem)], path.name

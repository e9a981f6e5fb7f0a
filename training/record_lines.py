"""What a command that was stopped goes on with: records as lines of JSON, and the settings they were made with."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from substep_core.configuration import dump, parse
from training.whole_file import write_whole


class RecordLines:
    """A file with a record a line. A run that is stopped loses none that was finished.

    Attributes:
        records: in the order in which they were made.

    Raises:
        ValueError: a line that is not the last one holds no record.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        mend(path)
        self.records: list[dict[str, Any]] = [
            _read(line, f"{path} line {number}") for number, line in enumerate(whole_lines(path), 1)
        ]

    def append(self, record: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self.records.append(record)


def whole_lines(path: Path) -> list[str]:
    """The lines of a file, none where it does not exist. What a crash cut short at its end is left out."""
    return _whole(path).splitlines()


def mend(path: Path) -> None:
    """Take a line that was cut short out of the file's end, so that what is appended begins a line."""
    if path.exists() and (whole := _whole(path)) != path.read_text(encoding="utf-8"):
        write_whole(path, whole)


def _whole(path: Path) -> str:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text[: text.rfind("\n") + 1]


def _read(line: str, where: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where} holds no record ({error}): without that line it is made again") from error


def claim(path: Path, settings: Any) -> None:
    """Keep the settings that a folder's results are made with, in a file of it.

    Args:
        settings: a configuration.

    Raises:
        ValueError: the folder holds results of other settings, or of another version's; the message says which.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(dump(settings), indent=2) + "\n")
        return
    names = [field.name for field in fields(settings)]
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        before = parse(type(settings), content, str(path))
        if missing := sorted(set(names) - set(content)):
            raise ValueError(f"{path} says nothing of {', '.join(missing)}")
    except ValueError as error:
        raise ValueError(f"{error}; was it made by another version? Choose another --out") from error
    pairs = ((name, getattr(before, name), getattr(settings, name)) for name in names)
    if changed := [f"{name} {old!r}, now {new!r}" for name, old, new in pairs if old != new]:
        raise ValueError(f"{path.parent} holds results with {'; '.join(changed)}: choose another --out")

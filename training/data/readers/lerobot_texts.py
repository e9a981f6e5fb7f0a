"""What a LeRobot v3 data set says that an episode shows: the task of every frame, and its subtasks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from training.data.readers.demonstration import DemonstrationError, attempt
from training.data.readers.instructions import read_instruction, read_steps
from training.data.readers.lerobot_tables import EpisodeRows, read_texts
from training.labels.file import EpisodeLabels

LANGUAGE = "language_persistent"  # of every frame: annotations of the episode, each from its timestamp on


class EpisodeWords(NamedTuple):
    """An episode's instruction, and its substeps where they are annotated; the damage where those cannot be read."""

    instruction: str
    labels: EpisodeLabels | DemonstrationError | None


class EpisodeTexts:
    """Tasks and subtasks by their numbers."""

    def __init__(self, root: Path) -> None:
        """Raises: DemonstrationError: a table of texts is not what it should be."""
        self._tasks = read_texts(root / "meta/tasks.parquet", "task_index")
        self._subtasks = read_texts(root / "meta/subtasks.parquet", "subtask_index")

    def told(self, row: Mapping[str, Any], rows: EpisodeRows | None, where: str) -> EpisodeWords:
        """What an episode shows. The frames decide: ``tasks`` of ``meta/episodes`` are in any order.

        Args:
            row: of ``meta/episodes``.
            rows: its timesteps; None where they cannot be read.
            where: the episode's place, for messages.

        Raises:
            DemonstrationError: nothing says which task it is, or which of several is shown when.
        """
        if rows is None or not rows.has("task_index") or not self._tasks:
            return EpisodeWords(_only_task(row), None)
        tasks = self._texts_of(rows, "task_index", self._tasks)
        instruction, labels = read_steps(tasks)
        subtasks = attempt(partial(self._subtasks_of, rows), where)  # damaged, they leave the task known
        if isinstance(subtasks, DemonstrationError):
            return EpisodeWords(instruction, subtasks)
        return EpisodeWords(instruction, labels) if subtasks is None else EpisodeWords(*read_steps(tasks, subtasks))

    def _subtasks_of(self, rows: EpisodeRows) -> list[str] | None:
        if rows.has("subtask_index") and self._subtasks:
            return self._texts_of(rows, "subtask_index", self._subtasks, may_lack=True)
        return _annotated_subtasks(rows) if rows.has(LANGUAGE) else None

    def _texts_of(self, rows: EpisodeRows, column: str, texts: Mapping[int, str], may_lack: bool = False) -> list[str]:
        """The text of every timestep; with ``may_lack`` −1 is none."""
        read = {number: read_instruction(text) for number, text in texts.items() if number in set(rows.values(column))}
        if may_lack:
            read[-1] = ""
        if strangers := sorted(set(rows.values(column)) - read.keys()):
            raise DemonstrationError(f"{column} {strangers[0]} is not in its table, which has {sorted(texts)[:10]}")
        return [read[number] for number in rows.values(column)]


def _only_task(row: Mapping[str, Any]) -> str:
    tasks = row.get("tasks") or []
    tasks = [tasks] if isinstance(tasks, str) else list(tasks)
    if not tasks:
        raise DemonstrationError("meta/episodes names no task")
    if len(tasks) > 1:
        raise DemonstrationError(f"meta/episodes names {len(tasks)} tasks, and no task_index says which is shown when")
    return read_instruction(tasks[0])


def _annotated_subtasks(rows: EpisodeRows) -> list[str]:
    """Of every frame the last subtask that has begun; none before the first."""
    annotations = {
        (float(item["timestamp"]), read_instruction(item["content"]))
        for item in rows.values(LANGUAGE)[0]
        if item["style"] == "subtask"
    }
    begins = sorted(annotations)
    found = []
    for time in rows.values("timestamp"):
        begun = [text for begin, text in begins if begin <= time + 1e-4]  # float32 against float64
        found.append(begun[-1] if begun else "")
    return found

"""Episode records as lines of JSON, and the results folder that keeps them with their commands."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from substep_core.episode import Placement
from substep_planner.manager.switch_rules import SWITCH_RULES
from training.evaluation.episodes import NO_RULE, EpisodeKey, planned
from training.evaluation.probes import PROBES
from training.evaluation.settings import EpisodeSettings, Selection
from training.record_lines import RecordLines, claim
from training.whole_file import write_whole

EPISODES_FILE = "episodes.jsonl"
SETTINGS_FILE = "evaluation.json"
COMMANDS_FILE = "commands.json"
VIDEOS_FOLDER = "videos"
UNKNOWN = {"command": None, "commit": None, "date": None}  # commands from before they were kept


def record_of(key: EpisodeKey, start: tuple[int, int], **content: Any) -> dict[str, Any]:
    """A record: the episode's name, its start and its outcome."""
    init_state, seed = start
    return asdict(key) | {"init_state": init_state, "seed": seed} | content


def key_of(record: dict[str, Any]) -> EpisodeKey:
    return EpisodeKey(**{field.name: record[field.name] for field in fields(EpisodeKey)})


def _place(record: dict[str, Any], suites: tuple[str, ...]) -> tuple[int, ...]:
    """In the report: group by group, whatever was played first."""
    key = key_of(record)
    group = tuple(PROBES).index(key.probe), (NO_RULE, *SWITCH_RULES.names).index(key.rule)
    placement = [placement.value for placement in Placement].index(key.placement)
    return *group, placement, suites.index(key.suite), key.task, key.number


class ResultFolder:
    """Episodes played under one set of settings. A run that is stopped loses none that was finished.

    Attributes:
        source: of the tasks.
        commands: provenance of the different commands that played them, oldest first; ``UNKNOWN`` for those of a
            folder from before commands were kept.

    Raises:
        ValueError: the folder holds results of other settings, or of tasks that are others now; the message says which.
    """

    def __init__(self, path: Path, settings: EpisodeSettings) -> None:
        self.path, self.source = path, settings.source
        claim(path / SETTINGS_FILE, settings)
        self._lines = RecordLines(path / EPISODES_FILE)
        self._check_tasks()
        self.commands = self._read_commands()

    @property
    def records(self) -> list[dict[str, Any]]:
        """In the order in which they were played."""
        return self._lines.records

    @property
    def videos(self) -> Path:
        return self.path / VIDEOS_FOLDER

    def keys(self) -> frozenset[EpisodeKey]:
        """Of the episodes that are there."""
        return frozenset(map(key_of, self.records))

    def selected(self, selection: Selection) -> list[dict[str, Any]]:
        """Records of the selected episodes, as far as they were played, in the report's order."""
        wanted = set(planned(selection, self.source))
        return [record for record in self.in_order() if key_of(record) in wanted]

    def in_order(self) -> list[dict[str, Any]]:
        """All records by probe, rule, placement, suite, task and number."""
        return sorted(self.records, key=lambda record: _place(record, self.source.suites))

    def add(self, record: dict[str, Any], made: dict[str, Any]) -> None:
        """Keep a finished episode.

        Args:
            made: provenance of the command that played it.
        """
        self.take(record, [made])

    def take(self, record: dict[str, Any], commands: list[dict[str, Any]]) -> None:
        """Keep an episode that one of these commands played."""
        for made in commands:
            self._keep_command(made)
        self._lines.append(record)

    def _check_tasks(self) -> None:
        """A folder of tasks may have been changed: an index is then another task's."""
        names = {suite: self.source.names(suite) for suite in self.source.suites}
        for record in self.records:
            suite, index, name = record["suite"], record["task"], record.get("task_name")
            found = names.get(suite, ())
            now = found[index] if index < len(found) else "none"
            if now != (name or now) or now == "none":
                raise ValueError(
                    f"{self.path} holds results of {suite} task {index}{f', {name!r}' if name else ''}, and there the "
                    f"source of tasks now has {now!r}: choose another --out"
                )

    def _keep_command(self, made: dict[str, Any]) -> None:
        """A command that goes on later, with the same code on the same machine, is kept with its first date."""
        if any(known | {"date": made["date"]} == made for known in self.commands):
            return
        self.commands.append(made)
        write_whole(self.path / COMMANDS_FILE, json.dumps(self.commands, indent=2) + "\n")

    def _read_commands(self) -> list[dict[str, Any]]:
        path = self.path / COMMANDS_FILE
        if path.exists():
            return json.loads(path.read_text(encoding="utf-8"))
        return [UNKNOWN] if self.records else []

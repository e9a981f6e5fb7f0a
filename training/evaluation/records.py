"""What one episode came to, as a line of JSON; and the folder that keeps these lines."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from substep_policy.configuration import dump, parse
from training.evaluation.episodes import EpisodeKey, planned, rules_of
from training.evaluation.settings import EpisodeSettings, Selection
from training.whole_file import write_whole

EPISODES_FILE = "episodes.jsonl"
SETTINGS_FILE = "evaluation.json"
VIDEOS_FOLDER = "videos"


def record_of(key: EpisodeKey, start: tuple[int, int], **content: Any) -> dict[str, Any]:
    """A record: what names the episode, what it started from, and what it came to."""
    init_state, seed = start
    return asdict(key) | {"init_state": init_state, "seed": seed} | content


def _order(key: EpisodeKey, selection: Selection) -> tuple:
    """Group by group; within them by suite, task and number as they are planned."""
    placements = [item.value for item in selection.placements]
    rules = rules_of(key.probe, selection)
    return selection.probes.index(key.probe), rules.index(key.rule), placements.index(key.placement)


def key_of(record: dict[str, Any]) -> EpisodeKey:
    return EpisodeKey(**{field.name: record[field.name] for field in fields(EpisodeKey)})


class ResultFolder:
    """Episodes played under one set of settings. A run that is stopped loses none that was finished.

    Raises:
        ValueError: the folder holds results of other settings; the message says which.
    """

    def __init__(self, path: Path, settings: EpisodeSettings) -> None:
        self.path = path
        self._claim(settings)
        self.records = self._read()

    @property
    def videos(self) -> Path:
        return self.path / VIDEOS_FOLDER

    def keys(self) -> frozenset[EpisodeKey]:
        """Of the episodes that are there."""
        return frozenset(map(key_of, self.records))

    def selected(self, selection: Selection) -> list[dict[str, Any]]:
        """Records of the selected episodes, in the order in which the selection names things."""
        by_key = {key_of(record): record for record in self.records}
        order = sorted(planned(selection), key=lambda key: _order(key, selection))
        return [by_key[key] for key in order if key in by_key]

    def add(self, record: dict[str, Any]) -> None:
        """Keep a finished episode."""
        self.records.append(record)
        with (self.path / EPISODES_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _claim(self, settings: EpisodeSettings) -> None:
        path = self.path / SETTINGS_FILE
        if path.exists():
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                before = parse(EpisodeSettings, content, str(path))
                if missing := sorted({field.name for field in fields(EpisodeSettings)} - set(content)):
                    raise ValueError(f"{path} says nothing of {', '.join(missing)}")
            except ValueError as error:
                raise ValueError(f"{error}; was it made by another version? Choose another --out") from error
            changed = [
                f"{field.name} {getattr(before, field.name)!r}, now {getattr(settings, field.name)!r}"
                for field in fields(EpisodeSettings)
                if getattr(before, field.name) != getattr(settings, field.name)
            ]
            if changed:
                raise ValueError(f"{self.path} was evaluated with {'; '.join(changed)}: choose another --out")
            return
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(dump(settings), indent=2) + "\n")

    def _read(self) -> list[dict[str, Any]]:
        """Every whole line; one that was cut short by a crash is taken out, and its episode is played again."""
        path = self.path / EPISODES_FILE
        if not path.exists():
            return []
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_whole(path, whole)
        return [json.loads(line) for line in whole.splitlines()]

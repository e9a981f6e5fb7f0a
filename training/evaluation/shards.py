"""An evaluation in parts, on machines that share a folder or none, and putting the parts together again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.evaluation.episodes import EpisodeKey, planned
from training.evaluation.records import SETTINGS_FILE, ResultFolder, key_of
from training.evaluation.settings import EpisodeSettings, Selection

SHARDS_FOLDER = "shards"
_WRITTEN = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Shard:
    """One of ``count`` parts, counted from 1: every ``count``-th task of the selection.

    A task is played by one part alone, since building its world takes as long as an episode.
    """

    number: int
    count: int

    def keys(self, selection: Selection, source) -> Iterator[EpisodeKey]:
        """The part's episodes."""
        tasks: dict[tuple[str, int], int] = {}
        for key in planned(selection, source):
            place = tasks.setdefault((key.suite, key.task), len(tasks))
            if place % self.count == self.number - 1:
                yield key

    def folder(self, out: Path) -> Path:
        return out / SHARDS_FOLDER / f"{self.number}_of_{self.count}"


def parse_shard(written: str) -> Shard:
    """Raises: ValueError: it is not I/N with I from 1 to N."""
    found = _WRITTEN.fullmatch(written)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise ValueError(f"--shard is {written!r}: expected I/N, I from 1 to N, as in 2/8")
    return Shard(number, count)


def merge_shards(settings: EpisodeSettings, selection: Selection, out: Path, count: int) -> ResultFolder:
    """The results of all parts in ``out``, videos too.

    Raises:
        ValueError: a part is missing or not finished, or was played with other settings; nothing is merged then.
    """
    shards = [Shard(number, count) for number in range(1, count + 1)]
    problems = [problem for shard in shards if (problem := _problem(shard, settings, selection, out))]
    if problems:
        raise ValueError(f"{out} cannot be merged: {'; '.join(problems)}")
    whole = ResultFolder(out, settings)
    known = set(whole.keys())
    for shard in shards:
        part = ResultFolder(shard.folder(out), settings)
        for record in part.records:
            if key_of(record) not in known:
                known.add(key_of(record))
                whole.take(record, part.commands)
                _take_video(record, part.path, out)
    return whole


def _problem(shard: Shard, settings: EpisodeSettings, selection: Selection, out: Path) -> str:
    folder = shard.folder(out)
    if not (folder / SETTINGS_FILE).exists():
        return f"shard {shard.number}/{shard.count} is missing (no {folder})"
    part = ResultFolder(folder, settings)
    lacking = set(shard.keys(selection, part.source)) - part.keys()
    return f"shard {shard.number}/{shard.count} lacks {len(lacking)} episodes" if lacking else ""


def _take_video(record: dict[str, Any], part: Path, out: Path) -> None:
    if not record.get("video"):
        return
    (out / record["video"]).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(part / record["video"], out / record["video"])

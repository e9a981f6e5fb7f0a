"""An evaluation in parts, on machines that share a folder or none, and putting the parts together again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.evaluation.episodes import EpisodeKey, planned
from training.evaluation.records import SETTINGS_FILE, ResultFolder, key_of
from training.evaluation.settings import EpisodeSettings, Selection
from training.folder_lock import alone_in

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
        BlockingIOError: a part is being played; nothing is read of any then, since reading mends a line that was cut.
    """
    shards = [Shard(number, count) for number in range(1, count + 1)]
    with ExitStack() as locks:
        _lock(shards, out, locks)
        return _merge(shards, settings, selection, out)


def _lock(shards: Sequence[Shard], out: Path, locks: ExitStack) -> None:
    for shard in shards:
        folder = shard.folder(out)
        if not folder.exists():  # a lock would make it
            continue
        try:
            locks.enter_context(alone_in(folder))
        except BlockingIOError as error:
            raise BlockingIOError(f"shard {shard.number}/{shard.count} cannot be merged: {error}") from error


def _merge(shards: Sequence[Shard], settings: EpisodeSettings, selection: Selection, out: Path) -> ResultFolder:
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
                _take_video(record, part.path, out)  # first: a merge that is stopped takes what has no record again
                whole.take(record, part.commands)
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

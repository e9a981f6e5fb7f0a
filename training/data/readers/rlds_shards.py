"""The files of a TFDS split: which there must be, how many episodes each has, and which of them are there."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from training.data.readers.demonstration import DemonstrationError
from training.data.readers.description import read_description

log = logging.getLogger(__name__)

INFO_FILE = "dataset_info.json"
MAX_SHARDS = 100_000  # TFDS's own names have five digits
SHARD = re.compile(r"(?P<data_set>.+)-(?P<split>\w+)\.tfrecord-(?P<number>\d+)-of-(?P<count>\d+)$")


@dataclass(frozen=True)
class RldsShard:
    """One file of a split.

    Attributes:
        episodes: how many it has, and ``first``: how many the files before it have; None where ``dataset_info.json``
            is not there to say it.
    """

    path: Path
    episodes: int | None
    first: int | None

    @property
    def is_there(self) -> bool:
        return self.path.is_file()

    @property
    def absence(self) -> str:
        """What is missing, in words."""
        content = "with its episodes" if self.episodes is None else f"with its {self.episodes} episodes"
        return f"{self.path} is missing, {content}"


def find_shards(folder: Path, split: str) -> list[RldsShard]:
    """The files that a split consists of, in order, whether they are there or not.

    Files of the same split cut into another number of shards are left from an earlier writing: they are not read, and
    that is logged.

    Raises:
        DemonstrationError: there is no such split, it is in another file format, or nothing says into how many shards
            it is cut.
    """
    names = {path.name: match for path in folder.iterdir() if (match := SHARD.fullmatch(path.name))}
    found = {name: match for name, match in names.items() if match["split"] == split}
    lengths = _declared(folder / INFO_FILE, split)
    if lengths is None:
        log.warning("%s has no %s: whether its shards are whole cannot be checked", folder, INFO_FILE)
    count, stem = _count(folder, split, found, lengths)
    if stale := sorted(name for name, match in found.items() if int(match["count"]) != count):
        log.warning("%s: %d files of another cut are not read, such as %s", folder, len(stale), stale[0])
    paths = [folder / f"{stem}-{split}.tfrecord-{number:05d}-of-{count:05d}" for number in range(count)]
    if lengths is None:
        return [RldsShard(path, None, None) for path in paths]
    firsts = accumulate(lengths, initial=0)
    # A file without episodes need not be there.
    return [RldsShard(*item) for item in zip(paths, lengths, firsts, strict=False) if item[1] or item[0].is_file()]


def check_complete(shards: Sequence[RldsShard]) -> None:
    """Raises: DemonstrationError: a file is missing."""
    if missing := [shard for shard in shards if not shard.is_there]:
        raise DemonstrationError(
            f"{len(missing)} of {len(shards)} shards are missing: {missing[0].absence}. Fetch what is missing, or give "
            f"the source `allow_missing: true` and `numbering: dataset` to read the rest, for which {INFO_FILE} must "
            "say how many episodes each has"
        )


def _count(folder: Path, split: str, found: dict[str, re.Match], lengths: list[int] | None) -> tuple[int, str]:
    """Into how many shards the split is cut, and what their names begin with."""
    if not found:
        raise DemonstrationError(f"{folder} has no shards of split {split!r}")
    counts = sorted({int(match["count"]) for match in found.values()})
    count = counts[0] if lengths is None else len(lengths)
    if lengths is None and len(counts) > 1:
        raise DemonstrationError(
            f"{folder} has shards of split {split!r} cut into {' and into '.join(map(str, counts))}, and no "
            f"{INFO_FILE} says which are to be read: remove the others"
        )
    if count > MAX_SHARDS:
        raise DemonstrationError(f"{folder} says {count} shards of split {split!r}, expected at most {MAX_SHARDS}")
    stems = sorted({match["data_set"] for match in found.values()})
    if len(stems) > 1:
        raise DemonstrationError(f"{folder} has split {split!r} of several data sets: {', '.join(stems)}")
    if count not in counts:
        raise DemonstrationError(
            f"{folder / INFO_FILE} says {count} shards of split {split!r}, the files there are of "
            f"{', '.join(map(str, counts))}"
        )
    return count, stems[0]


def _declared(path: Path, split: str) -> list[int] | None:
    """The episodes of every shard, as TFDS says it; None: it does not say anything.

    Raises:
        DemonstrationError: what it says cannot be read, or is not about this split in this format.
    """
    if not path.exists():
        return None
    info = read_description(path)
    if (file_format := info.get("fileFormat", "tfrecord")) != "tfrecord":
        raise DemonstrationError(f"{path} says fileFormat {file_format!r}, this reader takes tfrecord")
    try:
        splits = {item["name"]: [int(count) for count in item.get("shardLengths", [])] for item in info["splits"]}
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise DemonstrationError(f"{path} does not say how many episodes each shard has: {error!r}") from error
    if split not in splits:
        raise DemonstrationError(f"{path} has splits {', '.join(sorted(splits)) or 'of no name'}, not {split!r}")
    return splits[split]

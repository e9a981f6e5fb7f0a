"""The tables of a LeRobot v3 data set: what there is, where it lies, and the rows of an episode."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as parquet

from training.data.readers.demonstration import DemonstrationError
from training.data.readers.description import read_description
from training.data.readers.limits import check_array, check_length
from training.labels.file import MAX_TIMESTEPS

EPISODE = "episode_index"
MAX_ROWS = 100 * MAX_TIMESTEPS  # of a file
MAX_EPISODES = 10_000_000
BYTES_OF_A_NUMBER = 8


@dataclass(frozen=True)
class LeRobotInfo:
    """``meta/info.json``.

    Attributes:
        rate: frames a second.
        dtypes: what every feature is kept as, by its key.
        episodes: how many the data set has.
    """

    root: Path
    rate: float
    dtypes: Mapping[str, str]
    episodes: int
    data_path: str
    video_path: str

    @classmethod
    def read(cls, root: Path) -> LeRobotInfo:
        """Raises: DemonstrationError: it is missing, or not that of a LeRobot v3 data set."""
        path = root / "meta/info.json"
        info = read_description(path)
        version = str(info.get("codebase_version"))
        if not version.startswith("v3."):
            raise DemonstrationError(
                f"{path} says version {version}, this reader takes v3.x (LeRobot converts older ones)"
            )
        try:
            dtypes = {str(key): str(feature["dtype"]) for key, feature in info["features"].items()}
            found = cls(
                root,
                float(info["fps"]),
                dtypes,
                int(info["total_episodes"]),
                str(info["data_path"]),
                str(info.get("video_path") or ""),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DemonstrationError(f"{path} is not LeRobot's: {type(error).__name__} {error}") from error
        if not 0 < found.rate < 10_000 or not 0 <= found.episodes <= MAX_EPISODES:
            raise DemonstrationError(f"{path} says fps {found.rate:g} and total_episodes {found.episodes}")
        return found

    def data_file(self, row: Mapping[str, Any]) -> Path:
        """The table with the timesteps of an episode. Raises: DemonstrationError: its row does not say where."""
        return self._file(self.data_path, "data_path", _location(row, "data"))

    def video_file(self, row: Mapping[str, Any], key: str) -> Path:
        """The MP4 with the frames of an episode. Raises: DemonstrationError: its row does not say where."""
        return self._file(self.video_path, "video_path", {"video_key": key, **_location(row, f"videos/{key}")})

    def _file(self, template: str, name: str, fields: Mapping[str, Any]) -> Path:
        """Only a name of one of the fields may stand in the template, and it must lead into the data set."""
        where = f"{self.root / 'meta/info.json'}: {name} {template!r}"
        try:
            parts = list(Formatter().parse(template))
        except ValueError as error:
            raise DemonstrationError(f"{where} is no template: {error}") from error
        for _, field, spec, conversion in parts:
            if field is not None and (field not in fields or conversion or not re.fullmatch(r"(0\d)?d?", spec)):
                raise DemonstrationError(f"{where} has {field!r} formatted, expected {', '.join(sorted(fields))} alone")
        path = PurePosixPath(template.format(**fields))
        if not path.parts or path.is_absolute() or ".." in path.parts:
            raise DemonstrationError(f"{where} leads to {path}, out of the data set")
        return self.root / path


def read_episodes(info: LeRobotInfo) -> dict[int, dict[str, Any]]:
    """Number of an episode -> its row of ``meta/episodes``, in the order of their numbers.

    Raises:
        DemonstrationError: a table is missing or cannot be read, or has an episode twice or one that cannot be.
    """
    folder = info.root / "meta/episodes"
    paths = sorted(folder.glob("*/*.parquet"))
    if not paths:
        raise DemonstrationError(f"{folder} has no episode tables: is this a LeRobot v3 data set?")
    found: dict[int, dict[str, Any]] = {}
    for path in paths:
        wanted = [name for name in columns_of(path) if not name.startswith("stats/")]  # large, and of no use here
        for row in read_table(path, wanted).to_pylist():
            number = row.get(EPISODE)
            if not isinstance(number, int) or not 0 <= number < info.episodes or number in found:
                why = "twice" if number in found else f"and meta/info.json says total_episodes {info.episodes}"
                raise DemonstrationError(f"{path} has episode {number} {why}")
            found[number] = row
    return dict(sorted(found.items()))


def read_texts(path: Path, number: str) -> dict[int, str]:
    """A table of texts, tasks or subtasks, by their numbers in the column of that name; none where there is no file.

    Raises:
        DemonstrationError: it cannot be read, or is no such table.
    """
    if not path.is_file():
        return {}
    columns = read_table(path, None).to_pydict()
    texts = [name for name, values in columns.items() if values and all(isinstance(value, str) for value in values)]
    if number not in columns or len(texts) != 1:
        raise DemonstrationError(f"{path} has columns {', '.join(columns)}, expected {number} and one with the texts")
    return dict(zip(columns[number], columns[texts[0]], strict=True))


class EpisodeRows:
    """The timesteps of an episode, columns by name."""

    def __init__(self, table: pyarrow.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    def has(self, name: str) -> bool:
        return name in self._table.column_names

    def values(self, name: str) -> list[Any]:
        """What the timesteps have there. Raises: DemonstrationError: there is no such column, or a row is empty."""
        if not self.has(name):
            raise DemonstrationError(f"the table has no column {name!r}, only {', '.join(self._table.column_names)}")
        rows = self._table[name].to_pylist()
        if None in rows:
            raise DemonstrationError(f"row {rows.index(None)} of {name!r} is empty")
        return rows

    def matrix(self, name: str) -> np.ndarray:
        """(T, n) float32. Raises: DemonstrationError: as ``values``, or its rows have different lengths."""
        rows = self.values(name)
        if not isinstance(rows[0], list):
            return np.asarray(rows, np.float32)[:, None]
        if len({len(row) for row in rows}) != 1:
            raise DemonstrationError(f"rows of {name!r} have unequal lengths")
        return np.asarray(rows, np.float32)


class DataFiles:
    """The timesteps of a data set's episodes. The last file is kept: episodes that follow each other lie in one."""

    def __init__(self, info: LeRobotInfo) -> None:
        self._info = info
        self._without = {key for key, dtype in info.dtypes.items() if dtype in ("image", "video")}
        self._path: Path | None = None
        self._table, self._episodes = pyarrow.table({}), np.zeros(0, int)

    def rows(self, row: Mapping[str, Any]) -> EpisodeRows:
        """Those of the episode that a row of ``meta/episodes`` tells of, without images.

        Raises:
            DemonstrationError: they are missing, or are not as many as the row says.
        """
        path, length = self._info.data_file(row), whole_number(row, "length")
        check_length(length, f"{path}: length")
        if path != self._path:
            self._open(path)
        found = np.flatnonzero(self._episodes == row[EPISODE])
        if len(found) != length:
            raise DemonstrationError(f"{path} has {len(found)} rows, meta/episodes says {length}")
        return EpisodeRows(self._table.take(found))

    def _open(self, path: Path) -> None:
        table = read_table(path, [name for name in columns_of(path) if name not in self._without])
        if EPISODE not in table.column_names:
            raise DemonstrationError(f"{path} has no column {EPISODE}")
        self._path, self._table, self._episodes = path, table, table[EPISODE].to_numpy()


def read_table(path: Path, columns: Sequence[str] | None, episode: int | None = None) -> pyarrow.Table:
    """Columns of a Parquet file, all with None; with ``episode`` its rows alone.

    Raises:
        DemonstrationError: the file is missing, cannot be read, or says more rows than any has.
    """
    if not path.is_file():
        raise DemonstrationError(f"{path} is missing")
    filters = None if episode is None else [(EPISODE, "=", episode)]
    try:
        metadata = parquet.read_metadata(path)
        if (count := metadata.num_rows) > MAX_ROWS:
            raise DemonstrationError(f"{path} says {count} rows, expected at most {MAX_ROWS}")
        for name, values in _values_of(metadata).items():
            check_array((values,), BYTES_OF_A_NUMBER, f"{path}: {name}")
        return parquet.read_table(path, columns=None if columns is None else list(columns), filters=filters)
    except (OSError, pyarrow.ArrowException) as error:
        raise DemonstrationError(f"{path} cannot be read: {error}") from error


def _values_of(metadata: parquet.FileMetaData) -> Counter[str]:
    """How many values, those in lists too, each column says that it has. Repeated ones take no room in the file."""
    found: Counter[str] = Counter()
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for part in map(group.column, range(group.num_columns)):
            found[part.path_in_schema] += part.num_values
    return found


def whole_number(row: Mapping[str, Any], name: str) -> int:
    """A value of a row of ``meta/episodes``. Raises: DemonstrationError: it is missing, empty or no whole number."""
    value = row.get(name)
    if isinstance(value, float) and value.is_integer():  # a column with empty rows holds floats
        value = int(value)
    if not isinstance(value, int):
        raise DemonstrationError(f"meta/episodes says {name} {value!r}, expected a whole number")
    return value


def _location(row: Mapping[str, Any], part: str) -> dict[str, int]:
    return {name: whole_number(row, f"{part}/{name}") for name in ("chunk_index", "file_index")}


def columns_of(path: Path) -> list[str]:
    """Names of the columns of a Parquet file. Raises: DemonstrationError: it is missing or cannot be read."""
    if not path.is_file():
        raise DemonstrationError(f"{path} is missing")
    try:
        return parquet.read_schema(path).names
    except (OSError, pyarrow.ArrowException) as error:
        raise DemonstrationError(f"{path} cannot be read: {error}") from error

"""Changes to toy data sets: what other people's files have, and damage."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet

from training.data.readers.tfrecord import example_class, masked_checksum, parse_example, read_records

LISTS = {bytes: "bytes_list", float: "float_list", int: "int64_list"}


def shards(folder: Path) -> list[Path]:
    """The files of an RLDS data set."""
    return sorted(folder.glob("*/*.tfrecord-*"))


def write_rlds_info(folder: Path, lengths: Sequence[int], split: str = "train") -> None:
    """``dataset_info.json`` as TFDS writes it, as far as it is read."""
    entry = {"name": split, "shardLengths": [str(length) for length in lengths]}
    (version,) = folder.glob("*/features.json")
    version.with_name("dataset_info.json").write_text(json.dumps({"fileFormat": "tfrecord", "splits": [entry]}))


def serialize_example(features: dict[str, list[Any]]) -> bytes:
    """The inverse of ``parse_example``, the kind of each feature chosen by its first value."""
    example = example_class()()
    for name, values in features.items():
        feature = example.features.feature[name]
        if values:
            getattr(feature, LISTS[type(values[0])]).value.extend(values)
    return example.SerializeToString(deterministic=True)


def record(data: bytes) -> bytes:
    """One record with its frame, as a record file holds it."""
    length = struct.pack("<Q", len(data))
    return length + masked_checksum(length) + data + masked_checksum(data)


def edit_rlds(folder: Path, shard: int, place: int, **features: list) -> None:
    """Replace features of an episode, named by the end of their path."""
    path = shards(folder)[shard]
    examples = [parse_example(data) for _, data in read_records(path)]
    for name, values in features.items():
        examples[place][next(key for key in examples[place] if key.endswith(f"/{name}"))] = values
    path.write_bytes(b"".join(record(serialize_example(example)) for example in examples))


def edit_info(folder: Path, **values: Any) -> None:
    """Change keys of a LeRobot data set's ``meta/info.json``."""
    path = folder / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def edit_lerobot(folder: Path, table: str, drop: Sequence[int] = (), **columns: Callable[[list], list]) -> None:
    """Replace columns of a table, without those that are empty then, and leave out rows; the end of a name will do."""
    (path,) = folder.glob(f"{table}/*/*.parquet")
    content = parquet.read_table(path).to_pydict()
    for name, edit in columns.items():
        key = next((key for key in content if key.split(".")[-1] == name), name)
        content[key] = edit(content.get(key, []))
    kept = {key: [v for n, v in enumerate(values) if n not in drop] for key, values in content.items() if len(values)}
    parquet.write_table(pyarrow.table(kept), path)


def write_lerobot_texts(folder: Path, tasks: Sequence[str], of_episodes: Sequence[int]) -> None:
    """``meta/tasks.parquet``, and for every frame the task of its episode."""
    table = pyarrow.table({"task_index": list(range(len(tasks))), "task": list(tasks)})
    parquet.write_table(table, folder / "meta/tasks.parquet")
    (path,) = folder.glob("data/*/*.parquet")
    episodes = parquet.read_table(path, columns=["episode_index"])["episode_index"].to_pylist()
    edit_lerobot(folder, "data", task_index=lambda _: [of_episodes[number] for number in episodes])

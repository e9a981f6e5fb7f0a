"""``metadata.yaml`` of a bag, as rosbag2 writes it from Jazzy on (version 9)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rosbags.interfaces import Qos
from rosbags.rosbag2.metadata import dump_qos_v9

from substep_bags.definitions import MessageType
from substep_core.yaml_mapping import read_mapping

VERSION = 9
FILE = "metadata.yaml"
KEY = "rosbag2_bagfile_information"
NO_START = 2**63 - 1  # what rosbag2 writes for a bag without a message


@dataclass
class BagTopic:
    """A topic of a bag. qos: as its publishers offered it; count: of its messages."""

    name: str
    type: MessageType
    qos: tuple[Qos, ...] = ()
    count: int = 0


@dataclass
class BagFile:
    """A file of a bag. start, end: ns since 1970, of its messages' log times."""

    path: str
    start: int = NO_START
    end: int = 0
    count: int = 0

    def add(self, log_time: int) -> None:
        self.start, self.end = min(self.start, log_time), max(self.end, log_time)
        self.count += 1


def bag_metadata(topics: Iterable[BagTopic], files: Iterable[BagFile], about: Mapping[str, str]) -> dict[str, Any]:
    """The content of metadata.yaml below its one key."""
    files = list(files)
    start, end = min(file.start for file in files), max(file.end for file in files)
    return {
        "version": VERSION,
        "storage_identifier": "mcap",
        **_span(start, end),
        "message_count": sum(file.count for file in files),
        "topics_with_message_count": [_topic(topic) for topic in topics],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file.path for file in files],
        "files": [{"path": file.path, **_span(file.start, file.end), "message_count": file.count} for file in files],
        "custom_data": dict(about),
        "ros_distro": os.environ.get("ROS_DISTRO", "jazzy"),  # the wheels'
    }


def write_metadata(folder: Path, metadata: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    draft = folder / f"{FILE}.part"
    draft.write_text(yaml.safe_dump({KEY: dict(metadata)}, sort_keys=False), encoding="utf-8")
    os.replace(draft, folder / FILE)


def read_metadata(folder: Path) -> dict[str, Any]:
    """The content of metadata.yaml below its one key.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, or is none.
    """
    path = folder / FILE
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing")
    content = read_mapping(path, f"a mapping with {KEY}").get(KEY)
    if not isinstance(content, dict):
        raise ValueError(f"{path} has a {type(content).__name__} as {KEY}, expected a mapping")
    return content


def _span(start: int, end: int) -> dict[str, Any]:
    return {
        "duration": {"nanoseconds": max(0, end - start)},
        "starting_time": {"nanoseconds_since_epoch": start},
    }


def _topic(topic: BagTopic) -> dict[str, Any]:
    return {
        "topic_metadata": {
            "name": topic.name,
            "type": topic.type.name,
            "serialization_format": "cdr",
            "offered_qos_profiles": dump_qos_v9(list(topic.qos)),
            "type_description_hash": topic.type.hash,
        },
        "message_count": topic.count,
    }

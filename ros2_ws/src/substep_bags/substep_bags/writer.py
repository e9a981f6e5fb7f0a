"""Writes bags in the layout of rosbag2, from serialised messages: a folder with MCAP files and metadata.yaml."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import mcap.writer
import yaml
import zstandard
from mcap.writer import CompressionType, Writer
from pydantic import Field
from rosbags.interfaces import Qos
from rosbags.rosbag2.metadata import dump_qos_v9

from substep_bags.definitions import MessageType
from substep_bags.metadata import BagFile, BagTopic, bag_metadata, write_metadata
from substep_core.configuration import configuration

PROFILE, LIBRARY = "ros2", "substep"
CHUNK = 1 << 20  # bytes of messages that are compressed together
MIB, MINUTE = 1 << 20, 60 * 10**9
ABOUT_RECORD, METADATA_RECORD = "substep", "rosbag2"  # MCAP metadata records
ZSTD = "zstd"
COMPRESSIONS = {ZSTD: CompressionType.ZSTD, "lz4": CompressionType.LZ4, "none": CompressionType.NONE}  # of the chunks
ZSTD_LEVEL = 1  # of camera images, two thirds of the time of zstd's default level for a tenth more bytes


class _Zstd(threading.local):
    """Stands for the module ``zstandard`` in ``mcap.writer``, which has no setting for the level."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(ZSTD_LEVEL).compress  # one for each thread, to be used again


mcap.writer.zstandard = _Zstd()


@configuration
class BagSettings:
    """How a bag is written. A split takes place before the message that would be too much for the file."""

    split_size: int = Field(
        default=0, ge=0, le=1 << 30, description="MiB after which another file of the bag begins; 0: never"
    )
    split_minutes: int = Field(
        default=0, ge=0, le=1 << 20, description="minutes after which another file of the bag begins; 0: never"
    )


@dataclass
class _OpenFile:
    file: BagFile
    stream: IO[bytes]
    writer: Writer
    channels: dict[str, int] = field(default_factory=dict)  # by topic
    schemas: dict[str, int] = field(default_factory=dict)  # by type


class BagWriter:
    """A bag that is being written. What was flushed survives the end of the process; see ``substep_bags.repair``.

    Args:
        folder: is made; of the bag.
        about: what the bag says of itself: ``custom_data`` in metadata.yaml, and in each file from its beginning on.
        compression: one of ``COMPRESSIONS``.

    Raises:
        FileExistsError: there is something at ``folder``.
    """

    def __init__(
        self,
        folder: Path,
        settings: BagSettings = BagSettings(),
        about: Mapping[str, str] | None = None,
        compression: str = ZSTD,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.about = dict(about or {})
        self._settings, self._compression = settings, COMPRESSIONS[compression]
        self._topics: dict[str, BagTopic] = {}
        self._files: list[BagFile] = []
        self._open: _OpenFile | None = None
        self._begin_file()

    @property
    def message_count(self) -> int:
        return sum(topic.count for topic in self._topics.values())

    @property
    def size(self) -> int:
        """Bytes in the files."""
        return sum(path.stat().st_size for path in self.folder.glob("*.mcap"))

    def add_topic(self, name: str, kind: MessageType, qos: tuple[Qos, ...] = ()) -> None:
        """Must come before the topic's first message. qos: as its publishers offer it.

        Raises:
            ValueError: it is there already, with another type.
        """
        known = self._topics.setdefault(name, BagTopic(name, kind, qos))
        if known.type != kind:
            raise ValueError(f"topic {name} is of type {known.type.name} in this bag, not {kind.name}")

    def write(self, topic: str, data: bytes, log_time: int, publish_time: int) -> None:
        """Take in one message.

        Args:
            data: serialised (CDR).
            log_time, publish_time: ns since 1970, of its arrival and of its publication.

        Raises:
            KeyError: the topic was not added.
            OSError: the disk is full, or the like.
        """
        entry = self._topics[topic]
        if self._is_full(log_time):
            self._end_file()
            self._begin_file()
        channel = self._channel(entry)
        self._open.writer.add_message(channel, log_time, data, publish_time, entry.count)
        entry.count += 1
        self._open.file.add(log_time)

    def flush(self) -> None:
        """Hand everything to the operating system. Raises: OSError."""
        self._open.writer.flush()

    def close(self) -> None:
        """Finish files and metadata. Raises: OSError: what was flushed before is there all the same."""
        self._end_file()
        write_metadata(self.folder, self._metadata())

    def abandon(self) -> None:
        """Leave the files as they are, after an error."""
        with suppress(OSError):  # what is still in its buffer is lost; it is closed all the same
            self._open.stream.close()

    def _metadata(self) -> dict:
        return bag_metadata(list(self._topics.values()), self._files, self.about)

    def _is_full(self, log_time: int) -> bool:
        settings, opened = self._settings, self._open
        if not opened.file.count:
            return False
        too_long = settings.split_minutes and log_time - opened.file.start >= settings.split_minutes * MINUTE
        return bool(too_long or (settings.split_size and opened.stream.tell() >= settings.split_size * MIB))

    def _begin_file(self) -> None:
        path = self.folder / f"{self.folder.name}_{len(self._files)}.mcap"
        stream = path.open("xb")
        writer = Writer(stream, chunk_size=CHUNK, compression=self._compression)
        writer.start(PROFILE, LIBRARY)
        writer.add_metadata(ABOUT_RECORD, self.about)
        self._open = _OpenFile(BagFile(path.name), stream, writer)
        self._files.append(self._open.file)

    def _end_file(self) -> None:
        opened = self._open
        opened.writer.flush()
        text = yaml.safe_dump(self._metadata(), sort_keys=False)
        opened.writer.add_metadata(METADATA_RECORD, {"serialized_metadata": text})
        opened.writer.finish()
        opened.stream.close()

    def _channel(self, topic: BagTopic) -> int:
        opened, kind = self._open, topic.type
        if topic.name not in opened.channels:
            if kind.name not in opened.schemas:
                schema = opened.writer.register_schema(kind.name, kind.encoding, kind.definition.encode())
                opened.schemas[kind.name] = schema
            metadata = {
                "offered_qos_profiles": yaml.safe_dump(dump_qos_v9(list(topic.qos)), sort_keys=False),
                "topic_type_hash": kind.hash,
            }
            channel = opened.writer.register_channel(topic.name, "cdr", opened.schemas[kind.name], metadata)
            opened.channels[topic.name] = channel
        return opened.channels[topic.name]

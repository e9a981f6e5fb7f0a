"""Makes a bag readable whose recorder was killed, or whose disk was full: index and metadata are written anew."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcap.records import Channel, McapRecord, Message, Metadata, Schema
from mcap.stream_reader import StreamReader
from rosbags.rosbag2.metadata import parse_qos

from substep_bags import metadata
from substep_bags.definitions import MessageType
from substep_bags.writer import ABOUT_RECORD, BagWriter

WORK = ".repaired"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
MIB = 1 << 20


class NotRepairable(ValueError):
    """A folder that no bag can be made of; the message names it and says what is wrong."""


@dataclass(frozen=True)
class Repaired:
    """What a repair has made. messages: in the bag now; damaged: files of which the end was lost."""

    messages: int
    damaged: tuple[str, ...]


def repair(folder: Path) -> Repaired:
    """Write the files of a bag anew, with all that can be read of them; they are replaced once that is done.

    Raises:
        NotRepairable: there is no MCAP file, none with a message, or no room for the copy; the bag is as it was.
        OSError: the disk has another fault; the bag is as it was.
    """
    files = sorted(folder.glob("*.mcap"), key=_number)
    if not files:
        raise NotRepairable(f"{folder} holds no .mcap file: only bags in MCAP can be repaired")
    damaged: list[str] = []
    copy = folder.with_name(folder.name + WORK)
    _remove(copy)  # of a repair that was cut off
    try:
        writer = BagWriter(copy, about=_about(files[0]))
        for file in files:
            damaged += _copy(file, writer)
        writer.close()
        if not writer.message_count:
            raise NotRepairable(f"{folder}: no message can be read from {', '.join(file.name for file in files)}")
        _put_in_place(copy, folder, files)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        size = sum(file.stat().st_size for file in files) / MIB
        raise NotRepairable(
            f"there is no room for a copy of {folder} ({size:.1f} MiB) beside it ({error.strerror}): make room, or "
            "move it to another disk and repair it there; it is as it was"
        ) from error
    finally:
        _remove(copy)
    return Repaired(writer.message_count, tuple(damaged))


def records(file: Path) -> Iterator[McapRecord | None]:
    """Of an MCAP file, from its beginning as far as it can be read; the last one is None where it ends too early."""
    with file.open("rb") as stream:
        reader = StreamReader(stream, validate_crcs=True).records
        while True:
            try:
                record = next(reader)
            except StopIteration:
                return
            except OSError:  # the disk's fault is not the file's end
                raise
            except Exception:  # whatever the bytes of a file that was cut off look like to the parser
                yield None
                return
            yield record


def _about(file: Path) -> dict[str, str]:
    """What the bag says of itself, from its beginning on."""
    for record in records(file):
        if isinstance(record, Metadata) and record.name == ABOUT_RECORD:
            return record.metadata
        if isinstance(record, Message):
            break
    return {}


def _copy(file: Path, writer: BagWriter) -> list[str]:
    """All up to the first damage; -> the file's name if there was one. Raises: OSError."""
    schemas: dict[int, Schema] = {}
    topics: dict[int, str] = {}
    for record in records(file):
        if record is None:
            return [file.name]
        try:
            _take(record, schemas, topics, writer)
        except OSError:
            raise
        except Exception:  # a record of a broken file may hold anything, and go with no other
            return [file.name]
    return []


def _take(record: McapRecord, schemas: dict[int, Schema], topics: dict[int, str], writer: BagWriter) -> None:
    match record:
        case Schema():
            schemas[record.id] = record
        case Channel() if record.id not in topics:
            _add_topic(record, schemas[record.schema_id], writer)
            topics[record.id] = record.topic
        case Message():
            writer.write(topics[record.channel_id], record.data, record.log_time, record.publish_time)


def _add_topic(channel: Channel, schema: Schema, writer: BagWriter) -> None:
    kind = MessageType(schema.name, schema.data.decode(), channel.metadata.get("topic_type_hash", ""), schema.encoding)
    writer.add_topic(channel.topic, kind, tuple(parse_qos(channel.metadata.get("offered_qos_profiles", ""))))


def _put_in_place(copy: Path, folder: Path, files: list[Path]) -> None:
    """One file takes the place of all; the metadata last, since a bag without it is one to be repaired."""
    (made,) = copy.glob("*.mcap")
    content = metadata.read_metadata(copy)
    content["relative_file_paths"] = [files[0].name]
    content["files"][0]["path"] = files[0].name
    (folder / metadata.FILE).unlink(missing_ok=True)
    os.replace(made, files[0])
    for file in files[1:]:
        file.unlink()
    metadata.write_metadata(folder, content)


def _remove(folder: Path) -> None:
    for file in folder.glob("*"):
        file.unlink()
    if folder.exists():
        folder.rmdir()


def _number(file: Path) -> tuple[int, str]:
    """Files of a bag in the order in which they were written: bag_2.mcap before bag_10.mcap."""
    number = file.stem.rpartition("_")[2]
    return int(number) if number.isdigit() else 0, file.name

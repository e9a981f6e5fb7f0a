"""Opens bags, whoever wrote them, and says what is wrong with those that cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rosbags.interfaces import Connection, MessageDefinitionFormat, Qos
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.typesys import TypesysError, get_types_from_idl, get_types_from_msg
from rosbags.typesys.store import Typestore

from substep_bags import metadata

ROS1_MAGIC = b"#ROSBAG"


class BagError(ValueError):
    """A bag that cannot be used; the message names file and topic, and what would be right."""


@dataclass(frozen=True)
class TopicInBag:
    """A topic as a bag has it. qos: of its publishers, as far as the bag says it; count: of its messages."""

    name: str
    type: str
    qos: tuple[Qos, ...]
    count: int
    hash: str


@dataclass(frozen=True)
class RecordedMessage:
    """A message of a bag, serialised (CDR). log_time: ns since 1970, when it was recorded."""

    topic: str
    log_time: int
    data: bytes


class Bag:
    """A bag in rosbag2's layout, MCAP or SQLite. Used as a context manager.

    Attributes:
        path: its folder.
        about: what it says of itself (``custom_data``).
        topics: by name.
        start, end: log times, ns since 1970.
    """

    def __init__(self, path: Path) -> None:
        """Raises: BagError: it is none, needs a repair, or cannot be read."""
        self.path = path
        _check_layout(path)
        with ExitStack() as when_refused:
            try:
                self.about = _about(path)
                self._reader = Reader(path)
                self._reader.open()
                when_refused.callback(self._reader.close)
                self.topics = {item.topic: _topic(item) for item in self._reader.connections}
                self.start, self.end = self._reader.start_time, self._reader.end_time
            except Exception as error:  # what a broken one raises in the libraries that read it cannot be listed
                raise BagError(f"{path}: {_words(error)} ./substep bag repair {path} may help") from error
            if not self._reader.message_count:
                raise BagError(f"{path} holds no message")
            when_refused.pop_all()

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *given) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()

    def messages(
        self, topics: Iterable[str] | None = None, start: int | None = None, stop: int | None = None
    ) -> Iterator[RecordedMessage]:
        """In the order of their log times.

        Args:
            topics: names; None: all.
            start, stop: log times, ns since 1970: from the first, up to and without the second.

        Raises:
            BagError: a file is damaged.
        """
        wanted = set(self.topics if topics is None else topics)
        connections = [item for item in self._reader.connections if item.topic in wanted]
        if not connections:
            return
        try:
            for connection, log_time, data in self._reader.messages(connections, start=start, stop=stop):
                yield RecordedMessage(connection.topic, log_time, bytes(data))
        except Exception as error:  # as above
            hint = f"./substep bag repair {self.path} keeps what is whole"
            raise BagError(f"{self.path}: {_words(error)} {hint}") from error


def _check_layout(path: Path) -> None:
    """Raises: BagError: what is there can be told from a bag without opening it."""
    if path.is_file():
        with path.open("rb") as stream:
            if stream.read(len(ROS1_MAGIC)) == ROS1_MAGIC:
                raise BagError(
                    f"{path} is a bag of ROS 1: convert it with './substep exec rosbags-convert --src {path} --dst "
                    "FOLDER', and its message types must be those of ROS 2"
                )
        raise BagError(f"{path} is a file, expected the folder of a bag, with {metadata.FILE} in it")
    if not path.is_dir():
        raise BagError(f"there is no bag at {path}")
    if not (path / metadata.FILE).is_file():
        hint = f": ./substep bag repair {path} writes it" if any(path.glob("*.mcap")) else ", so it is no bag"
        raise BagError(f"{path} has no {metadata.FILE}{hint}")


def _words(error: Exception) -> str:
    """What is wrong; of what is no reader's own error its kind too."""
    known = isinstance(error, (ReaderError, BagError, FileNotFoundError))
    return str(error) if known else f"cannot be read: {type(error).__name__}: {error}."


def _about(path: Path) -> Mapping[str, str]:
    try:
        about = metadata.read_metadata(path).get("custom_data") or {}
    except ValueError as error:
        raise BagError(f"{error}.") from error
    if not isinstance(about, Mapping):
        raise BagError(f"custom_data in {metadata.FILE} is a {type(about).__name__}, expected a mapping.")
    return dict(about)


def _topic(connection: Connection) -> TopicInBag:
    qos = tuple(connection.ext.offered_qos_profiles)
    return TopicInBag(connection.topic, connection.msgtype, qos, connection.msgcount, _hash_of(connection))


def _hash_of(connection: Connection) -> str:
    """The type's hash, as the bag says it or as its definition has it; "" where it says neither."""
    if connection.digest.startswith("RIHS01_"):
        return connection.digest
    parsers = {MessageDefinitionFormat.MSG: _from_msg, MessageDefinitionFormat.IDL: _from_idl}
    parse = parsers.get(connection.msgdef.format)
    if parse is None:
        return ""
    store = Typestore()
    try:
        store.register(parse(connection))
        return store.hash_rihs01(connection.msgtype)
    except (TypesysError, KeyError):
        return ""


def _from_msg(connection: Connection):
    return get_types_from_msg(connection.msgdef.data, connection.msgtype)


def _from_idl(connection: Connection):
    return get_types_from_idl(connection.msgdef.data)

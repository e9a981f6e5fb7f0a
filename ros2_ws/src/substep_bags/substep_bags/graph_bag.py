"""A bag of a graph: its messages by the names that the interface has, checked against the types that are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.serialization import deserialize_message

from substep_bags.definitions import message_type
from substep_bags.images import COMPRESSED, SUFFIX, decode_jpeg
from substep_bags.installed_types import check_definition
from substep_bags.reader import Bag, BagError, RecordedMessage
from substep_core.contract import RobotContract, contract_from_text
from substep_core.ros import topics
from substep_core.ros.topics import Topic, type_name


@dataclass(frozen=True)
class Heard:
    """A message as a node of the graph would have heard it.

    Attributes:
        log_time: ns since 1970.
        data: serialised (CDR).
    """

    topic: Topic
    log_time: int
    data: bytes

    @property
    def message(self) -> Any:
        return deserialize_message(self.data, self.topic.type)


class GraphBag:
    """The part of a bag that one graph has said.

    Args:
        namespace: of the graph; None: the only one that there is.

    Attributes:
        contract: of its robot.
    """

    def __init__(self, bag: Bag, namespace: str | None = None) -> None:
        """Raises: BagError: there is no such graph in the bag, or several; its robot contract is missing or wrong."""
        self.bag = bag
        self.namespace = _namespace(bag) if namespace is None else namespace.rstrip("/")
        self.contract = self._read_contract()

    @property
    def path(self) -> Path:
        return self.bag.path

    def has(self, topic: Topic) -> bool:
        """Whether there is a message of it."""
        return self._found(topic) is not None

    def require(self, wanted: Iterable[Topic], what_for: str) -> None:
        """Raises: BagError: there is no message of one of these topics."""
        missing = [self._name(topic.name) for topic in wanted if not self.has(topic)]
        if missing:
            raise BagError(
                f"{self.path} has no message of {', '.join(missing)}, which {what_for} needs: record with "
                "'./substep sim --record' or 'record:=true', or all topics with 'ros2 bag record -a'"
            )

    def read(self, wanted: Iterable[Topic]) -> Iterator[Heard]:
        """Messages of these topics in the order of their log times; topics that the bag does not have are passed over.

        Images that were recorded as JPEG come as images.

        Raises:
            BagError: a topic is of another type, or of another definition of the type than the installed one.
        """
        there = [(topic, self._found(topic)) for topic in wanted]
        sources = {found[0]: (topic, found[1]) for topic, found in there if found is not None}
        for item in self.bag.messages(sources):
            topic, convert = sources[item.topic]
            yield Heard(topic, item.log_time, self._converted(item, convert))

    def _converted(self, item: RecordedMessage, convert: Callable[[bytes], bytes] | None) -> bytes:
        try:
            return convert(item.data) if convert else item.data
        except ValueError as error:
            raise BagError(f"{self.path}: a message of {item.topic} cannot be read: {error}") from error

    def _name(self, name: str) -> str:
        return name if name.startswith("/") else f"{self.namespace}/{name}"

    def _found(self, topic: Topic) -> tuple[str, Callable[[bytes], bytes] | None] | None:
        """The name in the bag, and what makes a message of the topic's type of its messages; None: there is none."""
        name, kind = self._name(topic.name), type_name(topic.type)
        if self._count(name):
            self._check_type(name, kind)
            return name, None
        if self._count(name + SUFFIX):
            self._check_type(name + SUFFIX, COMPRESSED)
            return name + SUFFIX, decode_jpeg
        return None

    def _count(self, name: str) -> int:
        found = self.bag.topics.get(name)
        return found.count if found else 0

    def _check_type(self, name: str, kind: str) -> None:
        found = self.bag.topics[name]
        if found.type != kind:
            raise BagError(f"{self.path}: {name} is of type {found.type}, expected {kind}: is this a bag of substep?")
        check_definition(self.bag, name, message_type(kind).hash)

    def _read_contract(self) -> RobotContract:
        self.require([topics.ROBOT_CONTRACT], "every use of a bag")
        newest = list(self.read([topics.ROBOT_CONTRACT]))[-1]
        try:
            return contract_from_text(newest.message.data, f"{self.path}, {topics.ROBOT_CONTRACT.name}")
        except ValueError as error:
            raise BagError(str(error)) from error


def _namespace(bag: Bag) -> str:
    """Raises: BagError: it cannot be told."""
    end = f"/{topics.ROBOT_CONTRACT.name}"
    found = [name.removesuffix(end) for name, topic in bag.topics.items() if name.endswith(end) and topic.count]
    if not found:
        known = ", ".join(sorted(bag.topics)[:12])
        raise BagError(
            f"{bag.path} has no message of {topics.ROBOT_CONTRACT.name}, which every graph of substep publishes; it "
            f"has {known}. Record with './substep sim --record' or 'record:=true'"
        )
    if len(found) > 1:
        names = ", ".join(name or "/" for name in found)
        raise BagError(f"{bag.path} holds several graphs: choose a namespace of {names}")
    return found[0]

"""Subscriptions that are emptied now and then instead of waking the node for every message.

rclpy's executor builds anew for each message what it waits for, which costs ten times as much as taking the message.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from operator import attrgetter

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.subscription import Subscription

from substep_core.ros.topics import Topic

KEPT = 100  # messages of a topic that wait until it is emptied, at least


@dataclass(frozen=True)
class Taken:
    """A message that has come.

    Attributes:
        name: of its topic, resolved.
        data: serialised (CDR).
        arrived, published: ns since 1970.
    """

    name: str
    data: bytes
    arrived: int
    published: int


class Inbox:
    """The subscriptions of a node that wants to miss nothing, and is in no hurry."""

    def __init__(self, node: Node) -> None:
        self._node, self._group = node, _Unwatched()
        self._subscriptions: dict[str, Subscription] = {}

    def __contains__(self, name: str) -> bool:
        """Whether the topic of that resolved name is heard."""
        return name in self._subscriptions

    def add(self, topic: Topic) -> None:
        """Hear a topic from now on."""
        heard = topic.with_depth(max(topic.depth, KEPT))
        made = heard.subscription(self._node, _nobody, raw=True, group=self._group)
        self._subscriptions[made.topic_name] = made

    def take(self) -> list[Taken]:
        """What has come since the last time, in the order of its arrival."""
        found = [item for name, made in self._subscriptions.items() for item in _take(name, made)]
        return sorted(found, key=attrgetter("arrived"))

    def close(self) -> None:
        for made in self._subscriptions.values():
            self._node.destroy_subscription(made)
        self._subscriptions = {}


class _Unwatched(CallbackGroup):
    """No executor waits for what belongs to it."""

    def can_execute(self, entity) -> bool:
        return False

    def beginning_execution(self, entity) -> bool:
        return False

    def ending_execution(self, entity) -> None: ...


def _nobody(message: bytes, info: dict) -> None:
    """The callback that rclpy wants, and nobody calls."""


def _take(name: str, made: Subscription) -> list[Taken]:
    found, now = [], time.time_ns()
    with made.handle:
        while (taken := made.handle.take_message(made.msg_type, made.raw)) is not None:
            data, info = taken
            found.append(Taken(name, data, info["received_timestamp"] or now, info["source_timestamp"] or now))
    return found

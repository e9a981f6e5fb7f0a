"""Collects the messages of one instant, which arrive in any order, by their exact stamp."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any


class ObservationSync:
    """Keeps the messages of the newest stamps until all the topics of one stamp are there.

    Memory is bounded: a stamp that never completes (a lost message) leaves when ``capacity`` newer ones have arrived.
    Newer means arrived later, not a larger stamp, so that a world that starts its clock again is followed at once.

    Args:
        topics: what one observation consists of.
        capacity: number of stamps held.
    """

    def __init__(self, topics: Iterable[str], capacity: int = 8) -> None:
        self._topics = frozenset(topics)
        if not self._topics:
            raise ValueError("an observation needs at least one topic")
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}, expected 1 or more")
        self._capacity = capacity
        self._held: OrderedDict[int, dict[str, Any]] = OrderedDict()

    def add(self, topic: str, stamp: int, message: Any) -> None:
        """Take in one message; a second one of the same topic and stamp replaces the first.

        Raises:
            KeyError: the topic is not part of the observation.
        """
        if topic not in self._topics:
            raise KeyError(f"{topic!r} is not part of the observation, which consists of {sorted(self._topics)}")
        self._held.setdefault(stamp, {})[topic] = message
        self._held.move_to_end(stamp)
        while len(self._held) > self._capacity:
            self._held.popitem(last=False)

    def messages(self, stamp: int) -> dict[str, Any] | None:
        """topic -> message of this stamp once all are there, else None."""
        return None if self.missing(stamp) else dict(self._held[stamp])

    def newest(self) -> dict[str, Any] | None:
        """topic -> message of the stamp that came last of those that are whole; None: there is none."""
        return next((found for stamp in reversed(self._held) if (found := self.messages(stamp))), None)

    def missing(self, stamp: int) -> list[str]:
        """Topics of which no message with this stamp is held."""
        return sorted(self._topics - self._held.get(stamp, {}).keys())

    def clear(self) -> None:
        self._held.clear()

"""Plays a bag: which message is due when, from where, how fast, again and again. Somebody else publishes."""

from __future__ import annotations

import fnmatch
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from pydantic import Field

from substep_bags.reader import Bag, BagError, RecordedMessage
from substep_core.configuration import configuration
from substep_core.units import NANOSECONDS

CLOCK_PERIOD = 0.01  # s of wall time between two ticks, at most


@configuration
class PlaySettings:
    """How a bag is played.

    Attributes:
        rate: of wall time: 2 is twice as fast as it was recorded.
        start: s after the bag's beginning to begin at.
        loop: begin again at ``start`` when the end is reached.
        topics: patterns of what is played, e.g. "/camera/*"; none: everything.
        exclude: patterns of what is not.
    """

    rate: float = Field(default=1.0, gt=0, le=10_000)
    start: float = Field(default=0.0, ge=0)
    loop: bool = False
    topics: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def chosen_topics(bag: Bag, settings: PlaySettings) -> tuple[str, ...]:
    """Names of the topics to be played.

    Raises:
        BagError: a pattern fits no topic of the bag.
    """
    for pattern in (*settings.topics, *settings.exclude):
        if not fnmatch.filter(bag.topics, pattern):
            known = ", ".join(sorted(bag.topics))
            raise BagError(f"{bag.path} has no topic {pattern!r}, only {known}")

    def fits(name: str, patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    wanted = settings.topics or ("*",)
    found = [name for name in bag.topics if fits(name, wanted) and not fits(name, settings.exclude)]
    return tuple(name for name in found if bag.topics[name].count)


class Playback:
    """One bag being played; ``run`` in a thread, everything else from any other.

    Args:
        topics: names of what is played.
        latched: of them, whose last message before a start counts, and is said first.
        publish: called with every message that is due.
        tick: called with the bag's time (ns) again and again; it jumps back where the bag begins anew.
    """

    def __init__(
        self,
        bag: Bag,
        topics: Sequence[str],
        latched: Collection[str],
        settings: PlaySettings,
        publish: Callable[[RecordedMessage], None],
        tick: Callable[[int], None] = lambda time: None,
    ) -> None:
        """Raises: BagError: the bag ends before ``settings.start``."""
        self._bag, self._topics, self._latched = bag, topics, [name for name in topics if name in latched]
        self._settings, self._publish, self._tick = settings, publish, tick
        self._rate = settings.rate
        self._change = threading.Condition()
        self._seek: int | None = None
        self._stopping = False
        self._origin = 0.0, 0  # wall time in s, and the log time that was due then
        self._first = self._time_at(settings.start)

    def run(self) -> None:
        """To the end of the bag; with ``loop`` until ``stop``. Raises: BagError: a file is damaged."""
        position: int | None = self._first
        while position is not None and not self._stopping:
            position = self._run_from(position)
            if position is None and self._settings.loop:
                position = self._first

    def seek(self, position: float) -> None:
        """Go on at this many s after the bag's beginning. Raises: BagError: it ends before that."""
        with self._change:
            self._seek = self._time_at(position)
            self._change.notify()

    def set_rate(self, rate: float) -> None:
        """From now on."""
        with self._change:
            self._origin = time.monotonic(), self._now()
            self._rate = rate
            self._change.notify()

    def stop(self) -> None:
        """Have ``run`` return soon."""
        with self._change:
            self._stopping = True
            self._change.notify()

    # --- the thread ---

    def _run_from(self, position: int) -> int | None:
        """Play from there; -> where to go on, or None: the end was reached."""
        with self._change:
            self._origin, self._seek = (time.monotonic(), position), None
        self._tick(position)
        for message in self._before(position):
            self._publish(message)
        for message in self._bag.messages(self._topics, start=position):
            if not self._wait_until(message.log_time):
                return self._seek
            self._publish(message)
        return self._seek

    def _before(self, position: int) -> Iterator[RecordedMessage]:
        """What subscribers of latched topics have heard by then."""
        newest: dict[str, RecordedMessage] = {}
        for message in self._bag.messages(self._latched, stop=position) if self._latched else ():
            newest[message.topic] = message
        yield from newest.values()

    def _wait_until(self, log_time: int) -> bool:
        """Whether it is due, and not: something else is wanted."""
        with self._change:
            while self._seek is None and not self._stopping:
                left = (log_time - self._now()) / NANOSECONDS / self._rate
                self._tick(min(log_time, self._now()))
                if left <= 0:
                    return True
                self._change.wait(min(left, CLOCK_PERIOD))
            return False

    def _now(self) -> int:
        """The bag's time."""
        wall, log_time = self._origin
        return log_time + int((time.monotonic() - wall) * self._rate * NANOSECONDS)

    def _time_at(self, position: float) -> int:
        length = (self._bag.end - self._bag.start) / NANOSECONDS
        if not 0 <= position < length:
            raise BagError(f"{self._bag.path} is {length:.1f} s long: it cannot be played from {position:g} s")
        return self._bag.start + int(position * NANOSECONDS)

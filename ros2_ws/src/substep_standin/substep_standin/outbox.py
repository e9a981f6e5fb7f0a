"""What goes wrong on the way to the listeners, on command: stamps that jump, messages late, twice, out of order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np

from substep_core.units import NANOSECONDS

Send = Callable[[], None]


@dataclass(frozen=True)
class TransportFaults:
    """Attributes:
    stamp_offset: s added to each stamp; delay: s by which each message comes later.
    duplicate, reorder: shares of the messages that come twice, and behind the one that follows them.
    """

    stamp_offset: float = 0.0
    delay: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0


class Outbox:
    """Sends messages as ``faults`` let it.

    Attributes:
        faults: in force now.
    """

    def __init__(self, random: np.random.Generator) -> None:
        self.faults = TransportFaults()
        self._random = random
        self._late: list[tuple[int, int, Send]] = []
        self._order = count()
        self._held: dict[str, Send] = {}

    def stamped(self, stamp: int) -> int:
        """ns, as listeners are told; never before the epoch."""
        return max(0, stamp + round(self.faults.stamp_offset * NANOSECONDS))

    def post(self, topic: str, send: Send, now: int) -> None:
        """Has ``send`` called once, or as the faults have it."""
        faults = self.faults
        if faults.reorder and topic not in self._held and self._random.random() < faults.reorder:
            self._held[topic] = send
            return
        sends = [send] * (2 if faults.duplicate and self._random.random() < faults.duplicate else 1)
        if topic in self._held:
            sends.append(self._held.pop(topic))
        for each in sends:
            if faults.delay:
                heapq.heappush(self._late, (now + round(faults.delay * NANOSECONDS), next(self._order), each))
            else:
                each()

    def deliver(self, now: int) -> None:
        """Sends what is late and due by now."""
        while self._late and self._late[0][0] <= now:
            heapq.heappop(self._late)[2]()

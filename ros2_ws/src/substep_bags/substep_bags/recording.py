"""Records messages into a bag from a thread of its own, so that who hands them over never waits."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from substep_bags.writer import BagWriter

FLUSH_PERIOD = 0.5  # s; where the process is killed, less than a second is lost, and what waits in the queue
YIELDS = 5  # nice levels by which writing stands behind the process that it belongs to
MIB = 1 << 20


@dataclass(frozen=True)
class RecordingState:
    """Where a recording stands.

    Attributes:
        written: messages in the bag.
        dropped: messages that are not: they came faster than they were written, or after the recording had ended.
        dropped_by_topic: of them, by topic.
        waiting: bytes in the queue.
        problem: why the recording has ended early; empty: it has not.
    """

    written: int
    dropped: int
    dropped_by_topic: dict[str, int]
    waiting: int
    problem: str


@dataclass(frozen=True)
class SerializedMessage:
    """A serialised message. topic: as in the bag; log_time, publish_time: ns since 1970."""

    topic: str
    data: bytes
    log_time: int
    publish_time: int


class BagRecording:
    """A bag being recorded.

    Args:
        writer: gets the messages, and is closed at the end.
        capacity: bytes that may wait; what comes while as many do is dropped.
        convert: topic -> what its messages become before they are written, in the recording's thread.
        on_end: called from that thread when the recording ends early.
    """

    def __init__(
        self,
        writer: BagWriter,
        capacity: int,
        convert: dict[str, Callable[[bytes], bytes]] | None = None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._writer, self._capacity = writer, capacity
        self._convert = convert if convert is not None else {}
        self._on_end = on_end
        self._queue: deque[SerializedMessage] = deque()
        self._waiting = 0
        self._dropped: Counter[str] = Counter()
        self._problem = ""
        self._closing = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def put(self, message: SerializedMessage) -> None:
        """Take in a message of a topic that the writer knows; never waits for the disk."""
        with self._change:
            size = len(message.data)
            if self._problem or self._closing or self._waiting + size > self._capacity:
                self._dropped[message.topic] += 1
                return
            self._queue.append(message)
            self._waiting += size
            self._change.notify()

    @property
    def state(self) -> RecordingState:
        with self._change:
            by_topic = dict(self._dropped)
            written = self._writer.message_count
            return RecordingState(written, sum(by_topic.values()), by_topic, self._waiting, self._problem)

    def close(self) -> RecordingState:
        """Write what waits, and finish the bag; where it has ended early, it is left as it is."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()
        return self.state

    # --- the thread ---

    def _run(self) -> None:
        try:
            _yield_to_others()
            self._write_all()
            self._writer.about["dropped"] = str(self.state.dropped)
            self._writer.close()
        except Exception as error:  # the border of the thread: whatever goes wrong with the bag, the robot goes on
            why = error.strerror if isinstance(error, OSError) and error.strerror else f"{error!r}"
            self._writer.abandon()
            self._end(f"{why}: recording into {self._writer.folder} has ended")

    def _write_all(self) -> None:
        flushed = time.monotonic()
        while self._wait(flushed + FLUSH_PERIOD):
            if self._queue:
                self._write(self._queue[0])
                self._forget_first()
            if time.monotonic() - flushed >= FLUSH_PERIOD:
                self._writer.flush()
                flushed = time.monotonic()

    def _wait(self, deadline: float) -> bool:
        """Until there is a message or the deadline has passed; whether it goes on."""
        with self._change:
            self._change.wait_for(lambda: self._queue or self._closing, deadline - time.monotonic())
            return bool(self._queue) or not self._closing

    def _write(self, message: SerializedMessage) -> None:
        convert = self._convert.get(message.topic)
        data = convert(message.data) if convert else message.data
        self._writer.write(message.topic, data, message.log_time, message.publish_time)

    def _forget_first(self) -> None:
        with self._change:
            self._waiting -= len(self._queue.popleft().data)

    def _end(self, problem: str) -> None:
        with self._change:
            self._problem = problem
            for message in self._queue:
                self._dropped[message.topic] += 1
            self._queue.clear()
            self._waiting = 0
        self._on_end()


def _yield_to_others() -> None:
    """What is packed and written later is not lost; a control loop on the same core that waits is late."""
    thread = threading.get_native_id()  # Linux counts threads apart
    level = os.getpriority(os.PRIO_PROCESS, thread)
    os.setpriority(os.PRIO_PROCESS, thread, min(level + YIELDS, 19))

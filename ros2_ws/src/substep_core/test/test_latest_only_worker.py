"""The worker handles the newest item, in its thread, and nothing gets lost silently."""

from __future__ import annotations

import queue
import threading

from substep_core.latest_only_worker import LatestOnlyWorker

PATIENCE = 10.0


class Bench:
    """Records what is handled; an item that is an Event is waited for, one that is an Exception raised."""

    def __init__(self):
        self.begun: queue.Queue = queue.Queue()
        self.failures: queue.Queue[Exception] = queue.Queue()
        self.worker = LatestOnlyWorker(self._handle, self.failures.put, "bench")

    def _handle(self, item):
        self.begun.put((item, threading.current_thread().name))
        if isinstance(item, threading.Event):
            assert item.wait(PATIENCE)
        if isinstance(item, Exception):
            raise item


def test_only_the_newest_of_what_waits_is_handled():
    bench, busy = Bench(), threading.Event()
    bench.worker.put(busy)
    assert bench.begun.get(timeout=PATIENCE) == (busy, "bench")
    for item in (1, 2, 3):
        bench.worker.put(item)
    busy.set()
    assert bench.begun.get(timeout=PATIENCE) == (3, "bench")
    bench.worker.stop()
    assert bench.begun.empty()


def test_stop_waits_for_the_item_being_handled_and_drops_the_rest():
    bench, busy = Bench(), threading.Event()
    bench.worker.put(busy)
    bench.begun.get(timeout=PATIENCE)
    bench.worker.put("never")
    stopper = threading.Thread(target=bench.worker.stop)
    stopper.start()
    busy.set()
    stopper.join(PATIENCE)
    assert not stopper.is_alive() and bench.begun.empty()
    bench.worker.stop()  # again does no harm


def test_an_escaped_exception_is_reported():
    bench, error = Bench(), RuntimeError("out of memory")
    bench.worker.put(error)
    assert bench.failures.get(timeout=PATIENCE) is error
    bench.worker.stop()

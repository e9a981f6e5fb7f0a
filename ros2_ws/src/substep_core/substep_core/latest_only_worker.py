"""One-slot queue with a worker thread: a newer item replaces one that has not been started."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LatestOnlyWorker(Generic[Item]):
    """Calls ``handle`` with the newest item, one at a time, in its own thread.

    An exception that ``handle`` lets escape ends the thread and is handed to ``failed``, once.

    Args:
        handle: what to do with an item.
        failed: told, in the worker's thread, of an exception that ended it.
        name: of the thread.
    """

    def __init__(self, handle: Callable[[Item], None], failed: Callable[[Exception], None], name: str) -> None:
        self._handle = handle
        self._failed = failed
        self._condition = threading.Condition()
        self._waiting: list[Item] = []  # at most one
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over an item; one that still waits is dropped for it."""
        with self._condition:
            self._waiting[:] = [item]
            self._condition.notify()

    def stop(self) -> None:
        """Drop what waits, wait for the item being handled, end the thread. May be called twice."""
        with self._condition:
            self._waiting.clear()
            self._stopping = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                self._handle(item)
        except Exception as error:  # the border of the thread: nothing may vanish here
            self._failed(error)

    def _next(self) -> Item | None:
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._stopping)
            return None if self._stopping else self._waiting.pop()

"""Worker processes that end with their parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.managers import SyncManager
from typing import Any, TypeVar

from substep_core.printable import log_printably

Item, Result = TypeVar("Item"), TypeVar("Result")


@contextlib.contextmanager
def process_pool(workers: int, prepare: Callable[[], None] | None = None) -> Iterator[ProcessPoolExecutor]:
    """Processes that are started afresh and end with this one.

    Afresh, because a forked OpenGL context does not work, and rendering and training do not get on in one process
    everywhere.

    Args:
        prepare: called first in each.

    Raises:
        ChildProcessError: one of them died.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(prepare,)) as pool:
            yield pool
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a worker process died: was it killed, or is there too little memory for so many (--workers)? The same "
            "command goes on from here"
        ) from error


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """``map`` in that many processes, in this one for 0; results in order.

    Few results are ahead of the one that is asked for: frames of one demonstration fill a good part of the memory.
    """
    if workers == 0:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with process_pool(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def started_manager() -> SyncManager:
    """A manager of shared objects whose process ends with this one; for use in a ``with`` statement."""
    manager = SyncManager(ctx=multiprocessing.get_context("spawn"))
    manager.start(_end_with_parent)
    return manager


def waiting_in(items: Any) -> Iterator[Any]:
    """What is in a queue now, taken out one by one."""
    while True:
        try:
            yield items.get_nowait()
        except queue.Empty:
            return


def _start(prepare: Callable[[], None] | None) -> None:
    _end_with_parent()
    log_printably()
    if prepare is not None:
        prepare()


def _end_with_parent() -> None:
    """Ends this process at once when the one that started it is gone, killed for example.

    A worker would else finish its job, into a folder that may be another's by then, and wait for more for ever.
    """
    threading.Thread(target=_wait_and_end, name="parent watch", daemon=True).start()


def _wait_and_end() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)

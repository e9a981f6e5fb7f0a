"""Worker processes that do not outlive the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.managers import SyncManager


def end_with_parent() -> None:
    """To be called first in a worker: it ends at once when the process that started it is gone, killed for example.

    A worker would else finish its job, into a folder that may be another's by then, and wait for more for ever.
    """
    threading.Thread(target=_wait_and_end, name="parent watch", daemon=True).start()


def started_manager() -> SyncManager:
    """A manager of shared objects whose process ends with this one; for use in a ``with`` statement."""
    manager = SyncManager(ctx=multiprocessing.get_context("spawn"))
    manager.start(end_with_parent)
    return manager


def _wait_and_end() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)

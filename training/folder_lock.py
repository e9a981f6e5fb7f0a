"""One command at a time in a folder that several would write to."""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import IO

LOCK_FILE, TURN_FILE = ".lock", ".turn"  # a run may keep its cache in its own folder

log = logging.getLogger(__name__)


@contextlib.contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Makes the folder and keeps other commands out of it: they would take what is made there for their own.

    Raises:
        ValueError: another one is at work there.
    """
    with _opened(out / LOCK_FILE) as file:
        if not _taken(file):
            raise ValueError(f"another command is at work in {out}: wait for it, or take another folder")
        yield


@contextlib.contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Makes the folder and waits until no other command is at work there; for what several may use."""
    with _opened(folder / TURN_FILE) as file:
        if not _taken(file):
            log.warning("waiting for another command that is at work in %s", folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _opened(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w")


def _taken(file: IO[str]) -> bool:
    """Whether the lock could be had at once; it is given back when the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

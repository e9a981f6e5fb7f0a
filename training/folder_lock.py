"""Locks a folder for one command at a time. Locks end with their process, however it ends."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_FILE, TURN_FILE = ".lock", ".turn"  # a run may keep its cache in its own folder

log = logging.getLogger(__name__)


def alone_in(out: Path) -> AbstractContextManager[object]:
    """Makes the folder and keeps other commands out of it: they would take what is made there for their own.

    Raises:
        BlockingIOError: another one is at work there.
        NotADirectoryError: it is a file.
    """
    _make(out)
    try:
        return FileLock(out / LOCK_FILE).acquire(blocking=False)
    except Timeout:
        raise BlockingIOError(f"another command is at work in {out}: wait for it, or take another folder") from None


def in_turn(folder: Path) -> AbstractContextManager[object]:
    """Makes the folder and waits until no other command is at work there; for what several may use."""
    _make(folder)
    lock = FileLock(folder / TURN_FILE)
    try:
        return lock.acquire(blocking=False)
    except Timeout:
        log.warning("waiting for another command that is at work in %s", folder)
        return lock.acquire()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        file = next(path for path in (folder, *folder.parents) if path.exists())
        raise NotADirectoryError(f"{folder} is to be a folder, and {file} is a file: name another") from None

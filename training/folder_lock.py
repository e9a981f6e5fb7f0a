"""One command at a time in a folder of results."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

LOCK_FILE = ".lock"


@contextlib.contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Makes the folder and keeps other commands out of it: they would take these episodes for their own.

    Raises:
        ValueError: another one is at work there.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another command is at work in {out}: wait for it, or take another folder") from error
        yield

"""Atomic writes: a file is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file that takes the place of ``path`` when the context ends; on an error the old one stays.

    It is on the disk before it takes that place: after a power cut there is the old one or the new one.
    """
    draft = path.with_name(f".{path.name}.unfinished")
    yield draft
    flush_to_disk(draft)
    os.replace(draft, path)


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or a folder with all that it holds, is on the disk."""
    for item in (*(path.rglob("*") if path.is_dir() else ()), path):
        descriptor = os.open(item, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_whole(path: Path, text: str) -> None:
    """Write a text file; until it is complete the old one stays."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")

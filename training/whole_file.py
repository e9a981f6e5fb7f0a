"""Text files that are there whole or not at all, whatever ends the process meanwhile."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file; until it is complete the old one stays."""
    draft = path.with_name(f".{path.name}.unfinished")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)

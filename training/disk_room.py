"""Free space on a disk, looked at before hours of work whose outcome would not fit."""

from __future__ import annotations

import shutil
from pathlib import Path


def check_room(folder: Path, needed: int, what: str) -> None:
    """Whether ``needed`` bytes can be written in a folder, which need not be there yet.

    Raises:
        OSError: they cannot; the message says where, how much ``what`` takes and how much is free.
    """
    disk = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(disk).free
    if needed > free:
        raise OSError(f"{folder}: {what} take {needed / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free on its disk")

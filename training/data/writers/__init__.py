"""Formats that demonstrations can be written in: ``./substep data export --format``.

A package adds one with an entry point in ``substep.data_writers``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from substep_core.contract import RobotContract
from substep_core.registry import Registry
from training.data.readers import DataSource

# An entry is a function from a source, its robot and a new folder to the number of what it has written there (episodes,
# or whatever its format counts). It raises ValueError where the folder holds something, or the format cannot have it.
DataWriter = Callable[[DataSource, RobotContract, Path], int]
DATA_WRITERS: Registry[DataWriter] = Registry("data format", "substep.data_writers")

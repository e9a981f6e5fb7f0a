"""Sources of demonstrations: ``type`` in a configuration names an entry of ``substep.data_readers``.

A package adds a format with an entry point in that group: a ``configuration`` class that is a ``DataSource``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from substep_core.configuration import registered
from substep_core.contract import RobotContract
from substep_core.registry import Registry
from training.data.readers.demonstration import Demonstration, DemonstrationError


@runtime_checkable
class DataSource(Protocol):
    """Some demonstrations in one format.

    Attributes:
        path: the data set's folder.
        type: the format, as registered.
        collection: tells these demonstrations from those of other sources of the same tasks.
        labels: their ``substep_labels.json``; None: see ``DataConfig.labels``.
    """

    path: Path
    type: str
    collection: str
    labels: Path | None

    def read(self, robot: RobotContract) -> Iterator[Demonstration | DemonstrationError]:
        """Every demonstration, or in its place the error that says why it cannot be had.

        Args:
            robot: whose demonstrations they are.

        Raises:
            DemonstrationError: the source as a whole is not what it should be.
        """


DATA_READERS: Registry[type[DataSource]] = Registry("data reader", "substep.data_readers")


def _format(data: Mapping[str, Any]) -> str:
    if "type" not in data:
        raise ValueError(f"a source needs a type: one of {DATA_READERS.listing}")
    return data["type"]


Source = registered(DATA_READERS.load, _format)  # of a configuration's field

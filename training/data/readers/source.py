"""Sources of demonstrations: ``type`` in a configuration names an entry of ``substep.data_readers``.

A package adds a format with an entry point in that group: a ``configuration`` class that is a ``DataSource``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import PlainValidator, TypeAdapter

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


def parse_source(value: Any) -> DataSource:
    """Plain data, as YAML has it, to a source of the format that its ``type`` names.

    Raises:
        ValueError: no type, an unknown one, or whatever that format's class refuses.
    """
    if isinstance(value, DataSource):
        return value
    if not isinstance(value, dict) or "type" not in value:
        raise ValueError(f"a source needs a type: one of {DATA_READERS.listing}")
    return TypeAdapter(DATA_READERS.load(value["type"])).validate_python(value)


Source = Annotated[Any, PlainValidator(parse_source)]  # of a configuration's field

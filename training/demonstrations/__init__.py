"""Readers of demonstrations: LIBERO's HDF5, RLDS on disk, LeRobot v3. One sample type for all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import Field

from training.demonstrations import lerobot, libero_hdf5, rlds
from training.demonstrations.demonstration import Demonstration, DemonstrationError
from training.demonstrations.lerobot import LeRobotSource
from training.demonstrations.libero_hdf5 import LiberoHdf5Source
from training.demonstrations.rlds import RldsSource

Source = Annotated[LiberoHdf5Source | RldsSource | LeRobotSource, Field(discriminator="type")]
log = logging.getLogger(__name__)


@dataclass
class ReadReport:
    """What was read, and what was skipped with the reason."""

    read: int = 0
    skipped: list[str] = field(default_factory=list)


def read_source(source: Source) -> Iterator[Demonstration | DemonstrationError]:
    """Demonstrations of a source, each unreadable one as the error that says why.

    Raises:
        DemonstrationError: the source as a whole is not what it should be.
    """
    match source:
        case LiberoHdf5Source():
            return libero_hdf5.read(source)
        case RldsSource():
            return rlds.read(source)
        case LeRobotSource():
            return lerobot.read(source)
    raise TypeError(f"{type(source).__name__} is not a source of demonstrations")


def read_demonstrations(
    sources: Iterable[Source], report: ReadReport, skip_damaged: bool = True
) -> Iterator[Demonstration]:
    """Demonstrations of all sources in order. Damaged ones are logged and counted, or raised.

    Raises:
        DemonstrationError: a source is not readable at all, or has the same demonstrations as another; or any
            demonstration is damaged, unless ``skip_damaged``.
    """
    seen: dict[str, str] = {}
    for source in sources:
        for item in read_source(source):
            if isinstance(item, Demonstration):
                item = replace(item, collection=source.collection)
                if item.key in seen:
                    raise DemonstrationError(
                        f"{item.key} is in {seen[item.key]} and in {item.source}: "
                        "give one of the sources a `collection` of its own"
                    )
                seen[item.key] = item.source
                report.read += 1
                yield item
            elif not skip_damaged:
                raise item
            else:
                report.skipped.append(str(item))
                log.warning("skipped: %s", item)


__all__ = [
    "Demonstration",
    "DemonstrationError",
    "LeRobotSource",
    "LiberoHdf5Source",
    "ReadReport",
    "RldsSource",
    "Source",
    "read_demonstrations",
    "read_source",
]

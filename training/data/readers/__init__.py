"""Readers of demonstrations: LIBERO's HDF5, RLDS on disk, LeRobot v3. One sample type for all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from substep_core.contract import RobotContract
from training.data.readers.conventions import check_actions
from training.data.readers.demonstration import Demonstration, DemonstrationError
from training.data.readers.lerobot import LeRobotSource
from training.data.readers.libero_hdf5 import LiberoHdf5Source
from training.data.readers.rlds import RldsSource
from training.data.readers.source import DATA_READERS, DataSource, Source

log = logging.getLogger(__name__)


@dataclass
class ReadReport:
    """What was read, and what was skipped with the reason."""

    read: int = 0
    skipped: list[str] = field(default_factory=list)


def read_demonstrations(
    sources: Iterable[DataSource], robot: RobotContract, report: ReadReport, skip_damaged: bool = True
) -> Iterator[Demonstration]:
    """Demonstrations of all sources in order. Damaged ones are logged and counted, or raised.

    Raises:
        DemonstrationError: a source is not readable at all, is not what it says it is, or has the same demonstrations
            as another; or any demonstration is damaged, unless ``skip_damaged``.
    """
    seen: dict[str, str] = {}
    for source in sources:
        for item in source.read(robot):
            if isinstance(item, Demonstration):
                item = replace(item, collection=source.collection)
                check_actions(item)
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
    "DATA_READERS",
    "DataSource",
    "Demonstration",
    "DemonstrationError",
    "LeRobotSource",
    "LiberoHdf5Source",
    "ReadReport",
    "RldsSource",
    "Source",
    "read_demonstrations",
]

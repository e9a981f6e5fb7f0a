"""Parameters of the recorder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from substep_bags.writer import COMPRESSIONS, ZSTD, BagSettings
from substep_core.configuration import options_of
from substep_core.ros.parameters import NodeParameters

RAW, JPEG = "raw", "jpeg"
MIB = 1 << 20


@dataclass(frozen=True)
class RecorderSettings:
    """How a run is recorded.

    Attributes:
        bag: folder of the bag, where there is one already with a number behind; None: a new one below ``bags``.
        jpeg_quality: None: images are recorded as they come.
        compression: one of ``COMPRESSIONS``.
        capacity: bytes that may wait to be written.
        policy: whose checkpoint the bag names; empty: none.
        arguments, parameters: what the run was started with, and what its nodes were told, as JSON.
    """

    bag: Path | None
    jpeg_quality: int | None
    compression: str
    capacity: int
    files: BagSettings
    policy: str
    arguments: str
    parameters: str


def declare(parameters: NodeParameters) -> None:
    """Declare every parameter of the recorder."""
    where = "folder of the bag, with a number where there is one already; empty: below bags, named after the time"
    parameters.declare("bag", "", where)
    parameters.declare("images", RAW, "how camera images are recorded", choices=(RAW, JPEG))
    parameters.declare("jpeg_quality", 90, "of images that are recorded as JPEG", bounds=(1, 100))
    parameters.declare("compression", ZSTD, "of the bag's chunks", choices=tuple(COMPRESSIONS))
    parameters.declare("queue_size", 256, "MiB that may wait to be written; more is dropped", bounds=(1, 65536))
    for option in options_of(BagSettings):
        parameters.declare(option.name, option.default, option.description, bounds=option.bounds)
    parameters.declare("policy", "", "whose checkpoint the bag names; empty: none")
    parameters.declare("arguments", "", "what the run was started with, as JSON, for the bag to say")
    parameters.declare("parameters", "", "what each node was told, as JSON, for the bag to say")


def read(parameters: NodeParameters) -> RecorderSettings:
    """Raises: BadParameter."""
    value = parameters.value
    return RecorderSettings(
        bag=Path(value("bag")).expanduser().resolve() if value("bag") else None,
        jpeg_quality=value("jpeg_quality") if value("images") == JPEG else None,
        compression=value("compression"),
        capacity=value("queue_size") * MIB,
        files=BagSettings(**{option.name: value(option.name) for option in options_of(BagSettings)}),
        policy=value("policy"),
        arguments=value("arguments"),
        parameters=value("parameters"),
    )

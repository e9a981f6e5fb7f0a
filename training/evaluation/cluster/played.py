"""What a simulator hands over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Played:
    """A finished episode.

    Attributes:
        files: of the record, by their paths within the results.
        grown: bytes that the simulator has grown by since its first episode.
        policies: processes that have answered for policies.
    """

    record: dict[str, Any]
    files: dict[str, bytes]
    grown: int
    policies: frozenset[str]

"""What a run's summary says of its bag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from substep_bags.metadata import read_metadata


@dataclass(frozen=True)
class BagStats:
    """``dropped``: messages that came faster than they were written. ``problem``: "" when all went well."""

    folder: str
    messages: int | None
    dropped: int | None
    problem: str = ""


def bag_stats(folder: Path, complaint: str) -> BagStats:
    """Of a bag whose recorder has been shut down.

    Args:
        complaint: what the recorder last complained about; "" for nothing.
    """
    try:
        metadata = read_metadata(folder)
    except FileNotFoundError:
        why = complaint or "the recorder has not finished it"
        return BagStats(folder.name, None, None, f"{why}; ./substep bag repair {folder}")
    return BagStats(folder.name, metadata["message_count"], int(metadata["custom_data"]["dropped"]))

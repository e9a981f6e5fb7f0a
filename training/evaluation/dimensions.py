"""Success by a benchmark's categories and difficulty levels, for each probe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from training.evaluation.task_kind import UNKNOWN_KIND
from training.intervals import wilson

Record = dict[str, Any]
ALL = "all"
GROUP = ("probe", "rule", "placement")


def dimension_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """A row for each group and category, and for all of a group's categories together; none where no task has one.

    ``levels`` has a cell for each difficulty, its key the level, or "none"; ``mean`` of the row for all is that of its
    categories' rates, each weighing the same. ``variants``: how many episodes depart from the benchmark, and how.
    """
    records = [UNKNOWN_KIND | record for record in records]
    if not any(record["category"] for record in records):
        return []
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[name] for name in GROUP), []).append(record)
    return [row for names, members in groups.items() for row in _rows(dict(zip(GROUP, names, strict=True)), members)]


def _rows(group: dict[str, str], records: Sequence[Record]) -> list[dict[str, Any]]:
    categories = sorted({record["category"] for record in records})
    rows = [_row(group, category, [r for r in records if r["category"] == category]) for category in categories]
    mean = sum(row["rate"] for row in rows) / len(rows)
    return [*rows, _row(group, ALL, records) | {"mean": mean}]


def _row(group: dict[str, str], category: str, records: Sequence[Record]) -> dict[str, Any]:
    levels: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record["difficulty"] or 9):
        levels.setdefault(str(record["difficulty"] or "none"), []).append(record)
    cells = {level: _cell(members) for level, members in levels.items()}
    return group | {"category": category, **_cell(records), "levels": cells, "variants": variants(records)}


def variants(records: Sequence[Record]) -> dict[str, int]:
    """How records' tasks depart from what their benchmark describes -> how many do so."""
    return dict(Counter(record["variant"] for record in records if record.get("variant")).most_common())


def departures(found: dict[str, int]) -> str:
    """ "3 embedded; 1 embedded, start drawn": a variant may be several things at once."""
    return "; ".join(f"{count} {variant}" for variant, count in found.items())


def _cell(records: Sequence[Record]) -> dict[str, Any]:
    successes = sum(record["success"] for record in records)
    return {
        "episodes": len(records),
        "successes": successes,
        "rate": successes / len(records),
        "interval": wilson(successes, len(records)),
    }

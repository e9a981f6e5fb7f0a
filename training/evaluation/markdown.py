"""Success as a Markdown table, for documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from substep_core.tasks import TaskSource
from training.evaluation.figures import ALL, GROUP, success_rows, why_failed

HEAD = "| suite | task | instruction | success | 95 % | steps | ended otherwise |\n" + "|---" * 7 + "|"


def markdown_tables(records: Sequence[dict[str, Any]], source: TaskSource) -> str:
    """For each probe, rule and placement a row per task, one per suite and one for all."""
    rows = success_rows(records, source)
    groups = dict.fromkeys(tuple(row[name] for name in GROUP) for row in rows)
    return "\n\n".join(_table(group, rows, records, titled=len(groups) > 1) for group in groups)


def _table(group: tuple, rows: Sequence[dict], records: Sequence[dict], titled: bool) -> str:
    of_group = [record for record in records if _group(record) == group]
    lines = [_line(row, of_group) for row in rows if _group(row) == group]
    title = "{} (rule {}), {} placements\n\n".format(*group) if titled else ""
    return title + "\n".join([HEAD, *lines])


def _line(row: dict[str, Any], records: Sequence[dict]) -> str:
    names = [name for name in ("suite", "task") if row[name] != ALL]
    members = [record for record in records if all(record[name] == row[name] for name in names)]
    endings = Counter(why_failed(record) for record in members if not record["success"])
    low, high = row["interval"]
    total = len(names) < 2
    cells = [
        f"**{row['suite']}**" if total else row["suite"],
        str(row["task"]) if row["suite"] != ALL else "",
        row.get("instruction", ""),
        f"{row['successes']}/{row['episodes']}",
        f"{low:.0%} to {high:.0%}",
        "-" if row["median_steps"] is None else f"{row['median_steps']:.0f}",
        ", ".join(f"{count} {ending}" for ending, count in endings.most_common()),
    ]
    return f"| {' | '.join(cells)} |"


def _group(row: dict[str, Any]) -> tuple:
    return tuple(row[name] for name in GROUP)

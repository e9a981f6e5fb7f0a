"""Success as a Markdown table, for documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from substep_core.tasks import TaskSource
from training.evaluation.dimensions import departures, dimension_rows
from training.evaluation.figures import ALL, GROUP, success_rows, task_records, why_failed

HEAD = ["suite", "task", "instruction", "success", "95 %", "steps", "ended otherwise"]
DEPARTS = "departs from the benchmark"


def markdown_tables(records: Sequence[dict[str, Any]], source: TaskSource) -> str:
    """For each probe, rule and placement a row per task, one per suite and one for all."""
    records = task_records(records)
    rows = success_rows(records, source)
    groups = dict.fromkeys(tuple(row[name] for name in GROUP) for row in rows)
    tables = [_table(group, rows, records, titled=len(groups) > 1) for group in groups]
    dimensions = dimension_rows(records)
    return "\n\n".join([*tables, *([_dimension_table(dimensions)] if dimensions else [])])


def _dimension_table(rows: Sequence[dict[str, Any]]) -> str:
    levels = sorted({level for row in rows for level in row["levels"]})
    names = [f"level {level}" if level != "none" else "no level" for level in levels]
    head = ["probe", "placement", "category", "success", "95 %", *names, DEPARTS]
    return _lines(head, [_dimension(row, levels) for row in rows])


def _lines(head: Sequence[str], rows: Sequence[str]) -> str:
    return "\n".join([_cells(head), "|---" * len(head) + "|", *rows])


def _dimension(row: dict[str, Any], levels: Sequence[str]) -> str:
    low, high = row["interval"]
    mean = f", mean {row['mean']:.0%}" if "mean" in row else ""
    cells = [row["levels"].get(level) for level in levels]
    return _cells(
        [
            row["probe"] + (f" ({row['rule']})" if row["rule"] else ""),
            row["placement"],
            row["category"] + mean,
            f"{row['successes']}/{row['episodes']} ({row['rate']:.0%})",
            f"{low:.0%} to {high:.0%}",
            *(f"{cell['successes']}/{cell['episodes']}" if cell else "-" for cell in cells),
            departures(row["variants"]),
        ]
    )


def _cells(cells: Sequence[str]) -> str:
    """A line of a table; what a file says of a task may have the sign that ends a cell."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _table(group: tuple, rows: Sequence[dict], records: Sequence[dict], titled: bool) -> str:
    of_group = [record for record in records if _group(record) == group]
    shown = [row for row in rows if _group(row) == group]
    departs = any(row["variants"] for row in shown)
    title = "{} (rule {}), {} placements\n\n".format(*group) if titled else ""
    lines = [_line(row, of_group, departs) for row in shown]
    return title + _lines([*HEAD, *([DEPARTS] if departs else [])], lines)


def _line(row: dict[str, Any], records: Sequence[dict], departs: bool) -> str:
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
        *([departures(row["variants"])] if departs else []),
    ]
    return _cells(cells)


def _group(row: dict[str, Any]) -> tuple:
    return tuple(row[name] for name in GROUP)

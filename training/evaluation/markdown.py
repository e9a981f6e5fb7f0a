"""Success as a Markdown table, for documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from substep_core.tasks import TaskSource
from training.evaluation.dimensions import dimension_rows
from training.evaluation.figures import ALL, GROUP, success_rows, why_failed

HEAD = "| suite | task | instruction | success | 95 % | steps | ended otherwise |\n" + "|---" * 7 + "|"


def markdown_tables(records: Sequence[dict[str, Any]], source: TaskSource) -> str:
    """For each probe, rule and placement a row per task, one per suite and one for all."""
    rows = success_rows(records, source)
    groups = dict.fromkeys(tuple(row[name] for name in GROUP) for row in rows)
    tables = [_table(group, rows, records, titled=len(groups) > 1) for group in groups]
    dimensions = dimension_rows(records)
    return "\n\n".join([*tables, *([_dimension_table(dimensions)] if dimensions else [])])


def _dimension_table(rows: Sequence[dict[str, Any]]) -> str:
    levels = sorted({level for row in rows for level in row["levels"]})
    names = [f"level {level}" if level != "none" else "no level" for level in levels]
    head = ["probe", "placement", "category", "success", "95 %", *names, "departs from the benchmark"]
    return "\n".join([_cells(head), "|---" * len(head) + "|", *(_dimension(row, levels) for row in rows)])


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
            ", ".join(f"{count} {variant}" for variant, count in row["variants"].items()),
        ]
    )


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


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
    return _cells(cells)


def _group(row: dict[str, Any]) -> tuple:
    return tuple(row[name] for name in GROUP)

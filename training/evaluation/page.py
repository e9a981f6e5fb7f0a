"""One HTML page that needs nothing else: no scripts, no fonts, no pictures from elsewhere. Videos are links."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from training.checkpoints.eos_score import TOLERANCE
from training.evaluation import plots
from training.evaluation.dimensions import departures
from training.evaluation.figures import ALL
from training.evaluation.substep_log import MISSED_AFTER

MOST_TASKS_DRAWN = 150  # in one plot
TEMPLATE = Path(__file__).with_name("page.html.j2")


def render_page(results: dict[str, Any]) -> str:
    """The page of ``results.json``'s content."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {
        "percent": percent,
        "ms": milliseconds,
        "counts": counts,
        "moment": moment,
        "departures": departures,
    }
    environment.filters["label"] = plots.label
    suites = {row["suite"] for row in (*results["success"], *results["eos"])} - {ALL}
    several = len(suites) > 1  # of one suite, "all" says nothing new
    environment.tests["shown"] = lambda row: several or row["suite"] != ALL
    drawn = {}
    if results["success"]:
        drawn["by_suite"] = plots.success_by_suite(results["success"], results["suites"])
    played = {(row["suite"], row["task"]) for row in results["success"]}
    if len(played) <= MOST_TASKS_DRAWN and any(row["probe"] in plots.SHOWN_BY_TASK for row in results["success"]):
        drawn["by_task"] = plots.success_by_task(results["success"], results["suites"])
    if any(row["delays"] for row in results["advances"]):
        drawn["delays"] = plots.delays(results["advances"])
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        results=results,
        plots={name: Markup(svg) for name, svg in drawn.items()},
        ALL=ALL,
        LEVELS=sorted({level for row in results["dimensions"] for level in row["levels"]}),
        TOLERANCE=TOLERANCE,
        MISSED_AFTER=MISSED_AFTER,
    )


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1e3 * seconds:.1f} ms"


def moment(date: str | None) -> str:
    """To the minute, in the time of the machine that played."""
    return "unknown date" if date is None else f"{datetime.fromisoformat(date):%Y-%m-%d %H:%M %Z}"


def counts(found: dict[str, int]) -> str:
    """ "3 eos, 1 timeout"."""
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in found.items())

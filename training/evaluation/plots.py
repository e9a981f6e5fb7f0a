"""Plots of an evaluation as SVG text, to be put into a page."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from training.evaluation.figures import ALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]
SHOWN_BY_TASK = ("policy", "replay", "oracle")
COLOURS = ("#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#d62728", "#8c564b", "#17becf", "#7f7f7f")


def label(row: Row) -> str:
    """A group in a few letters."""
    return f"{row['probe']} ({row['rule']})" if row["probe"] == "policy" else row["probe"]


def success_by_suite(rows: Sequence[Row], order: Sequence[str]) -> str:
    """A panel for each placement: every probe's success in every suite, with intervals. ``order``: of all suites."""
    rows = [row for row in rows if row["task"] == ALL]
    placements, suites = _values(rows, "placement"), sorted(_values(rows, "suite"), key=(*order, ALL).index)
    suites = suites if len(suites) > 2 else suites[:1]
    rows = [row for row in rows if row["suite"] in suites]
    names = list(dict.fromkeys(map(label, rows)))
    upright = len("".join(map(_tick, suites))) > 40  # side by side they would lie on each other
    width, height = (max(4.6, 0.4 * len(suites)), 4.4) if upright else (4.6, 3.4)
    figure = _figure(figsize=(width * len(placements) + 1.5, height))
    for axes, placement in zip(figure.subplots(1, len(placements), squeeze=False)[0], placements, strict=True):
        for place, name in enumerate(names):
            chosen = [row for row in rows if row["placement"] == placement and label(row) == name]
            shift = (place - (len(names) - 1) / 2) * 0.8 / len(names)
            _points(axes, [suites.index(row["suite"]) + shift for row in chosen], chosen, COLOURS[place % 8], name)
        _percent(axes, placement, suites, rotation=90 if upright else 0)
    figure.axes[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return as_svg(figure)


def success_by_task(rows: Sequence[Row], order: Sequence[str]) -> str:
    """The policy's success in every task, with intervals; other probes as marks without them."""
    rows = [row for row in rows if row["task"] != ALL and row["probe"] in SHOWN_BY_TASK]
    placements = _values(rows, "placement")
    tasks = sorted({(row["suite"], row["task"]) for row in rows}, key=lambda task: (order.index(task[0]), task[1]))
    names = list(dict.fromkeys(map(label, rows)))
    width = max(5.0, 0.24 * len(tasks) + 2)
    figure = _figure(figsize=(width, 2.9 * len(placements)))
    for axes, placement in zip(figure.subplots(len(placements), 1, squeeze=False)[:, 0], placements, strict=True):
        for place, name in enumerate(names):
            chosen = [row for row in rows if row["placement"] == placement and label(row) == name]
            at = [tasks.index((row["suite"], row["task"])) + 0.12 * place for row in chosen]
            _points(axes, at, chosen, COLOURS[place % 8], name, bars=chosen and chosen[0]["probe"] == "policy")
        _percent(axes, placement, [f"{suite} {task}" for suite, task in tasks], rotation=90)
    figure.axes[0].legend(fontsize=8, ncols=len(names), loc="lower left", bbox_to_anchor=(0, 1.08), frameon=False)
    return as_svg(figure)


def delays(rows: Sequence[Row]) -> str:
    """How many control steps after its effect first held a substep was advanced from; every rule's own line."""
    rows = [row for row in rows if row["suite"] == ALL and row["delays"]]
    figure = _figure(figsize=(6.5, 2.8))
    axes = figure.subplots()
    for place, row in enumerate(rows):
        values = sorted(min(value, 100) for value in row["delays"])
        share = [(index + 1) / len(values) for index in range(len(values))]
        axes.step(values, share, where="post", color=COLOURS[place % 8], label=f"{label(row)}, {row['placement']}")
    axes.set(
        xlabel="control steps from effect to advance (100: or more)",
        ylabel="share of advances",
        ylim=(0, 1.02),
        xlim=(0, 101),
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    return as_svg(figure)


def _points(axes: Axes, at: list[float], rows: list[Row], colour: str, name: str, bars: bool = True) -> None:
    rates = [row["rate"] for row in rows]
    errors = [[max(0.0, row["rate"] - row["interval"][0]) for row in rows],
              [max(0.0, row["interval"][1] - row["rate"]) for row in rows]]  # fmt: skip
    style = {"fmt": "o", "markersize": 4.5} if bars else {"fmt": "_", "markersize": 9}
    axes.errorbar(at, rates, yerr=errors if bars else None, color=colour, label=name, elinewidth=1, **style)


def _percent(axes: Axes, title: str, ticks: Sequence[str], rotation: int) -> None:
    axes.set(title=title, xlim=(-0.5, len(ticks) - 0.5), ylim=(-0.04, 1.04), ylabel="success")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xticks(range(len(ticks)), list(map(_tick, ticks)), rotation=rotation, fontsize=8)
    axes.grid(axis="y", alpha=0.3)


def _tick(name: str) -> str:
    """A folder may be called as it likes; a dollar sign would begin a formula."""
    return name.removeprefix("libero_").replace("$", r"\$")


def _values(rows: Sequence[Row], name: str) -> list[str]:
    return list(dict.fromkeys(row[name] for row in rows))


def _figure(**options: Any) -> Figure:
    from matplotlib.figure import Figure  # a second to import, and most processes draw nothing

    return Figure(layout="constrained", **options)


def as_svg(figure: Figure) -> str:
    """Without the XML header, and without a date, so that the same figures give the same text."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.DOTALL)

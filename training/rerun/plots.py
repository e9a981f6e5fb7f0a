"""Plots of a rerun over the world time of its run, as SVG text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation.plots import COLOURS, as_svg
from training.rerun.report import MILLI

WIDTH = 10.5  # inches
SHADES = ("#f3f6fa", "#ffffff")  # of substeps, in turn


def distances(data: Mapping[str, Any], groups: Mapping[str, str]) -> str:
    """A panel for each action group: how far each pair of actions lies apart. groups: name -> unit."""
    figure = Figure(figsize=(WIDTH, 1.9 * len(groups)), layout="constrained")
    panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
    for place, (axes, (name, unit)) in enumerate(zip(panels, groups.items(), strict=True)):
        written, factor = MILLI.get(unit, (unit, 1.0))
        for decision in _compared(data):
            steps = decision["distances"][name]["steps"]
            at = [_time(data, decision["stamp_ns"]) + index / data["robot"]["rate"] for index in range(len(steps))]
            axes.plot(
                at, [factor * value for value in steps], color=COLOURS[place], linewidth=1.2, marker=".", markersize=3
            )
        axes.set(ylabel=f"{name}" + (f" ({written})" if written else ""))
        _substeps(axes, data, named=place == 0)
    panels[-1].set_xlabel("world time (s)")
    return as_svg(figure)


def eos(data: Mapping[str, Any]) -> str:
    """The largest EOS probability of every chunk, and where it ends a substep."""
    figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
    axes = figure.subplots()
    for place, (name, label) in enumerate((("recorded", "recorded"), ("new", "now"))):
        seen = [(_time(data, item["stamp_ns"]), item["eos"][name]) for item in _compared(data)]
        known = [(time, view) for time, view in seen if view["probability"] is not None]
        axes.plot(
            [time for time, _ in known],
            [view["probability"] for _, view in known],
            color=COLOURS[place],
            marker="o",
            markersize=3,
            linewidth=1,
            label=label,
        )
        ended = [(time, view) for time, view in known if view["index"] >= 0]
        ends = [(time + (view["index"] + 1) / data["robot"]["rate"], view["probability"]) for time, view in ended]
        axes.plot(*zip(*ends, strict=True) if ends else ([], []), "|", color=COLOURS[place], markersize=16)
    axes.set(ylim=(-0.03, 1.05), ylabel="EOS probability", xlabel="world time (s)")
    axes.legend(fontsize=8, frameon=False, ncols=4, loc="upper left", bbox_to_anchor=(0, 1.22))
    _substeps(axes, data, named=False)
    return as_svg(figure)


def switches(data: Mapping[str, Any]) -> str:
    """A line for the run and for each rule: where substeps were, or would have been, left."""
    names = list(data["switches"][0]["ends"])
    figure = Figure(figsize=(WIDTH, 0.7 + 0.32 * (len(names) + 1)), layout="constrained")
    axes = figure.subplots()
    for place, visit in enumerate(data["switches"]):
        began = _time(data, visit["began"]["stamp_ns"])
        for row, end in enumerate((visit["left"], *visit["ends"].values())):
            if end is not None:
                time, colour = _time(data, end["stamp_ns"]), COLOURS[place % len(COLOURS)]
                axes.plot([began, time], [-row, -row], color=colour, linewidth=5, solid_capstyle="butt")
                axes.plot([time], [-row], "|", color="#222", markersize=11)
    axes.set_yticks([-row for row in range(len(names) + 1)], ["the run", *names], fontsize=8)
    axes.set(ylim=(-len(names) - 0.6, 0.6), xlabel="world time (s)")
    axes.grid(axis="x", alpha=0.3)
    return as_svg(figure)


def _compared(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [decision for decision in data["decisions"] if "distances" in decision]


def _time(data: Mapping[str, Any], stamp: int) -> float:
    """s since the first decision."""
    return (stamp - data["decisions"][0]["stamp_ns"]) / 1e9


def _substeps(axes: Axes, data: Mapping[str, Any], named: bool) -> None:
    """Their extent behind the curves."""
    last = data["decisions"][-1]["stamp_ns"]
    for place, visit in enumerate(data["switches"]):
        began, end = visit["began"]["stamp_ns"], visit["left"]["stamp_ns"] if visit["left"] else last
        axes.axvspan(_time(data, began), _time(data, end), color=SHADES[place % 2], zorder=0)
        if named:
            where = {"xycoords": ("data", "axes fraction"), "fontsize": 7, "va": "bottom"}
            axes.annotate(f"{visit['index'] + 1} {visit['instruction']}", (_time(data, began), 1.02), **where)
    axes.grid(alpha=0.25)
    axes.margins(x=0.01)

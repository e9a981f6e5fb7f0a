"""A rerun as one HTML page that needs nothing else: plots are SVG, frames are in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from training.rerun import plots
from training.rerun.compare import EosView, eos_words
from training.rerun.report import readable
from training.rerun.rerun import Result

TEMPLATE = Path(__file__).with_name("page.html.j2")


def render_page(result: Result, data: Mapping[str, Any]) -> str:
    """The page of a result and its ``report.as_data``."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"readable": readable, "eos": lambda view: eos_words(EosView(**view))}
    units = {group.name: group.unit for group in result.run.robot.action}
    drawn = {}
    if any("distances" in decision for decision in data["decisions"]):
        drawn = {"distances": plots.distances(data, units), "eos": plots.eos(data)}
    if data["switches"]:
        drawn["switches"] = plots.switches(data)
    numbered = {decision["number"]: decision for decision in data["decisions"]}
    substeps = {row.rerun.decision.number: row.rerun.decision.work.substep for row in result.rows}
    shown = [
        {"decision": numbered[number], "substep": substeps[number], "frames": _inline(frames)}
        for number, frames in result.frames.items()
    ]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        data=data, units=units, plots={name: Markup(svg) for name, svg in drawn.items()}, shown=shown
    )


def _inline(frames: Mapping[str, bytes]) -> dict[str, str]:
    """Camera -> the source of an img element."""
    return {name: f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" for name, jpeg in frames.items()}

"""A rerun with all that it leaves: a table, a JSON file and a page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.rerun.page import render_page
from training.rerun.report import as_data, table
from training.rerun.rerun import Result, rerun_bag
from training.rerun.settings import RerunSettings

PAGE, FIGURES = "index.html", "rerun.json"


@dataclass(frozen=True)
class Report:
    """What a rerun has left. too_far: what exceeds the tolerance; empty: nothing does."""

    table: str
    page: Path
    too_far: str


def rerun_and_report(
    bag: Path, settings: RerunSettings, out: Path, command: str, said: Callable[[str], Any] = lambda line: None
) -> Report:
    """Raises: BagError, ValueError: as ``rerun_bag``."""
    result = rerun_bag(bag, settings, said)
    data = as_data(result, command)
    out.mkdir(parents=True, exist_ok=True)
    (out / FIGURES).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / PAGE).write_text(render_page(result, data), encoding="utf-8")
    return Report(table(result, data), out / PAGE, _too_far(result, settings.tolerance))


def _too_far(result: Result, tolerance: float | None) -> str:
    if tolerance is None or result.furthest <= tolerance:
        return ""
    if result.furthest == math.inf:
        return "a request was refused that has a recorded chunk: no tolerance allows that"
    return (
        f"an action lies {result.furthest:.3g} of its group's range from the recorded one, more than the tolerance of "
        f"{tolerance:g}"
    )

"""``results.json`` and ``index.html`` of a folder of results."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from substep_bridge.world import WORLDS
from substep_core.configuration import dump
from substep_core.tasks import TaskSource
from training.evaluation.episodes import EpisodeKey, planned
from training.evaluation.figures import figures
from training.evaluation.missing import missing
from training.evaluation.page import render_page
from training.evaluation.probes import PROBES
from training.evaluation.records import ResultFolder
from training.evaluation.settings import EpisodeSettings, Selection
from training.whole_file import write_whole

RESULTS_FILE = "results.json"
PAGE_FILE = "index.html"


def write_report(
    folder: ResultFolder,
    settings: EpisodeSettings,
    selection: Selection,
    made: dict[str, Any],
    asked: Collection[EpisodeKey] | None = None,
) -> None:
    """Figures of all the folder's episodes, whichever command played them.

    Args:
        selection: the last command's.
        made: the last command's provenance.
        asked: the last command's part of its selection, to tell how much of it was played; None: all of it.
    """
    if asked is None:
        asked = list(planned(selection, folder.source))
    records = folder.in_order()
    results = {
        "made": made,
        "commands": folder.commands,
        "settings": dump(settings),
        "robot": dump(WORLDS.load(settings.world)().robot),
        "selection": dump(selection),
        "suites": folder.source.suites,
        "episodes": {
            "planned": len(asked),
            "played": len(folder.keys().intersection(asked)),
            "all": len(records),
        },
        "left_out": _left_out(folder.source),
        "missing": missing(records, settings.through),
        "probes": {record["probe"]: PROBES[record["probe"]].description for record in records},
        "videos": [_video(record) for record in records if record.get("video")],
        **figures(records, folder.source),
    }
    write_whole(folder.path / RESULTS_FILE, json.dumps(results, indent=1) + "\n")
    write_whole(folder.path / PAGE_FILE, render_page(results))


def _left_out(source: TaskSource) -> dict[str, int]:
    """Suite -> how many of its tasks cannot be played."""
    counts = {suite: len(source.names(suite)) - len(source.playable(suite)) for suite in source.suites}
    return {suite: count for suite, count in counts.items() if count}


def _video(record: dict[str, Any]) -> dict[str, Any]:
    names = ("suite", "task", "probe", "rule", "placement", "number", "success", "video")
    return {name: record[name] for name in names}

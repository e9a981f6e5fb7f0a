"""``results.json`` and ``index.html`` of a folder of results."""

from __future__ import annotations

import json
from typing import Any

from substep_policy.configuration import dump
from training.evaluation.episodes import planned
from training.evaluation.figures import figures
from training.evaluation.page import render_page
from training.evaluation.probes import PROBES
from training.evaluation.provenance import provenance
from training.evaluation.records import ResultFolder
from training.evaluation.settings import EpisodeSettings, Selection
from training.whole_file import write_whole

RESULTS_FILE = "results.json"
PAGE_FILE = "index.html"


def write_report(folder: ResultFolder, settings: EpisodeSettings, selection: Selection, command: str) -> None:
    """Figures of the selected episodes, as far as they were played."""
    records = folder.selected(selection)
    results = {
        "made": provenance(command),
        "settings": dump(settings),
        "selection": dump(selection),
        "episodes": {"planned": len(list(planned(selection))), "played": len(records)},
        "probes": {name: PROBES[name].description for name in selection.probes},
        "videos": [_video(record) for record in records if record.get("video")],
        **figures(records),
    }
    write_whole(folder.path / RESULTS_FILE, json.dumps(results, indent=1) + "\n")
    write_whole(folder.path / PAGE_FILE, render_page(results))


def _video(record: dict[str, Any]) -> dict[str, Any]:
    names = ("suite", "task", "probe", "rule", "placement", "number", "success", "video")
    return {name: record[name] for name in names}

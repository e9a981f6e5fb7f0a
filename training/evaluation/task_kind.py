"""What a report groups tasks by, how a task departs from what its benchmark describes, and what it is called."""

from __future__ import annotations

from typing import Any

from libero_bridge.libero_setup import asset_folder
from libero_bridge.tasks import LiberoTask
from training.evaluation.settings import EpisodeSettings

UNKNOWN_KIND = {
    "category": "",
    "difficulty": None,
    "variant": "",
    "task_name": "",
}  # of records from before tasks had one


def kind_of(settings: EpisodeSettings, suite: str, index: int) -> dict[str, Any]:
    """A record's fields ``category``, ``difficulty``, ``variant``, as the assets show the task, and ``task_name``."""
    task = settings.source.task(suite, index)
    if isinstance(task, LiberoTask):
        task = task.in_assets(asset_folder(settings.assets))
    return {
        "category": task.category,
        "difficulty": task.difficulty,
        "variant": task.variant,
        "task_name": task.name,
    }

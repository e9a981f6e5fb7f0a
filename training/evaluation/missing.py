"""Lists the baselines and probes that a report lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from substep_core.episode import Placement
from training.evaluation.probes import PROBES

POLICY = "policy"
BESIDE_IT = ("replay", "whole_task", "no_words", "other_task", "eos")


def missing(records: Sequence[dict[str, Any]], through: str) -> list[dict[str, Any]]:
    """The policy and the probes beside it, as far as its tasks were not played by them in every placement.

    Args:
        through: of the folder's settings; the graph cannot play every probe, so another folder has to.

    Returns:
        For each probe the placements, how many of the policy's tasks, and the options that play them, to be put at
        the end of the policy's command. Nothing where the policy was not played.
    """
    played: dict[tuple[str, str], set[tuple[str, int]]] = {}
    for record in records:
        played.setdefault((record["probe"], record["placement"]), set()).add((record["suite"], record["task"]))
    tasks = {task for (probe, _), found in played.items() if probe == POLICY for task in found}
    rows = []
    for probe in (POLICY, *BESIDE_IT):
        lacking = {item.value: tasks - played.get((probe, item.value), set()) for item in Placement}
        placements = [placement for placement, found in lacking.items() if found]
        if placements:
            count = len(set.union(*lacking.values()))
            options = _options(probe, placements, through)
            rows.append(
                {"probe": probe, "placements": placements, "tasks": count, "of": len(tasks), "options": options}
            )
    return rows


def _options(probe: str, placements: Sequence[str], through: str) -> str:
    options = f"--probes {probe} --placements {' '.join(placements)}"
    is_playable = through == "process" or PROBES[probe].through_graph
    return options if is_playable else f"{options} --through process --out ANOTHER_FOLDER"

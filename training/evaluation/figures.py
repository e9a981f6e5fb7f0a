"""Figures from episodes' records: success, advances, endings, EOS against the truth, latencies. Plain data for JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from substep_core.errors import ErrorCode
from substep_core.protocol import SubstepEnd
from substep_core.tasks import TaskSource
from training.checkpoints.eos_score import EndCounts
from training.evaluation.dimensions import ALL, GROUP, dimension_rows, variants
from training.evaluation.own_words import own_words
from training.evaluation.probes import PROBES, BoundaryProbe
from training.intervals import wilson

Record = dict[str, Any]


def figures(records: Sequence[Record], source: TaskSource) -> dict[str, list[dict[str, Any]]]:
    """Every table of the report."""
    tasks = task_records(records)
    boundaries = [record for record in records if _is_boundaries(record)]
    return {
        "success": success_rows(records, source),
        "dimensions": dimension_rows(tasks),
        "advances": _table([record for record in tasks if _is_judged(record)], source, advances),
        "endings": _table(tasks, source, endings),
        "substeps": list(_substeps(record for record in tasks if record["probe"] == "policy")),
        "own_words": _table([record for record in tasks if "reference" in record], source, own_words),
        "eos": _table(boundaries, source, eos, by_task=True),
        "latency": _table(tasks, source, latencies),
    }


def success_rows(records: Sequence[Record], source: TaskSource) -> list[dict[str, Any]]:
    """Success of every group, suite and task."""
    return _table(task_records(records), source, success, by_task=True)


def task_records(records: Sequence[Record]) -> list[Record]:
    """Those that have succeeded or failed: of task probes."""
    return [record for record in records if not _is_boundaries(record)]


def success(records: Sequence[Record]) -> dict[str, Any]:
    """How often the world said success, with Wilson's 95 % interval, and how many substeps were completed, where
    they are the task's own; ``variants``: how many episodes depart from the benchmark, and how."""
    successes = sum(record["success"] for record in records)
    judged = all(map(_is_judged, records))  # a group is of one probe
    return {
        "episodes": len(records),
        "successes": successes,
        "rate": successes / len(records),
        "interval": wilson(successes, len(records)),
        "median_steps": _median(record["steps"] for record in records if record["success"]),
        "substeps_completed": sum(record["completed"] for record in records) if judged else None,
        "substeps_planned": sum(record["planned"] for record in records),
        "variants": variants(records),
    }


def advances(records: Sequence[Record]) -> dict[str, Any]:
    """Advances that can be judged: how many came without the substep's effect, and how late the others were."""
    substeps = [substep for record in records for substep in record["substeps"]]
    advanced = [substep for substep in substeps if substep["premature"] is not None]
    held = [substep for substep in substeps if substep["effect_after"] is not None]
    right = [substep for substep in advanced if not substep["premature"] and substep["effect_after"] is not None]
    return {
        "advances": sum(substep["advanced"] for substep in substeps),
        "judged": len(advanced),
        "premature": sum(substep["premature"] for substep in advanced),
        "effects": len(held),
        "missed": sum(bool(substep["missed"]) for substep in held),
        "median_delay": _median(substep["steps"] - substep["effect_after"] for substep in right),
        "delays": [substep["steps"] - substep["effect_after"] for substep in right],
    }


def endings(records: Sequence[Record]) -> dict[str, Any]:
    """Why substeps were left, what failed episodes ended with, and chunks by outcome."""
    substeps = Counter(substep["ended"] for record in records for substep in record["substeps"])
    failures = Counter(map(why_failed, filter(_failed, records)))
    return {
        "switches": sum(substep["advanced"] for record in records for substep in record["substeps"]),
        "substeps": dict(substeps.most_common()),
        "failures": dict(failures.most_common()),
        "chunks": _added(record["chunks"] for record in records),
        "rejections": _added(record["rejections"] for record in records),
    }


def why_failed(record: Record) -> str:
    """Of an episode without success: the planner's error, or that the plan was done and the goal did not hold."""
    return "plan done" if record["error"] == ErrorCode.NONE.name else record["error"].lower().replace("_", " ")


def eos(records: Sequence[Record]) -> dict[str, Any]:
    """Precision, recall and F1 of the ends that the policy tells along the demonstrator's way."""
    ends = [end for record in records for end in record["ends"]]
    counts = sum((EndCounts(end["right"], end["premature"], end["missed"]) for end in ends), EndCounts())
    trials = max(counts.trials, 1)
    return {
        "episodes": len(records),
        "excluded": dict(Counter(record["excluded"] for record in records if record["excluded"])),
        "substeps": len(ends),
        "precision": counts.precision if ends else None,
        "recall": counts.recall if ends else None,
        "f1": counts.f1 if ends else None,
        "premature": counts.premature / trials,
        "missed": counts.missed / trials,
    }


def latencies(records: Sequence[Record]) -> dict[str, Any]:
    """Time to a chunk: the median of the episodes' medians, the same of their 99th percentiles, and the largest."""
    found = [record["chunk_latency_s"] for record in records if record["chunk_latency_s"]["count"]]
    return {
        "chunks": sum(entry["count"] for entry in found),
        "median": _median(entry["median"] for entry in found),
        "p99": _median(entry["p99"] for entry in found),
        "max": max((entry["max"] for entry in found), default=None),
    }


def _table(
    records: Sequence[Record],
    source: TaskSource,
    summarise: Callable[[Sequence[Record]], dict[str, Any]],
    by_task: bool = False,
) -> list[dict[str, Any]]:
    """A row for each group and suite, for each of its tasks if so wanted, and for all suites together."""
    rows = []
    for group, members in _split(records, *GROUP):
        for suite, of_suite in sorted(_split(members, "suite"), key=lambda item: source.suites.index(item[0]["suite"])):
            if by_task:
                for task, of_task in sorted(_split(of_suite, "task"), key=lambda item: item[0]["task"]):
                    instruction = source.task(suite["suite"], task["task"]).instruction
                    rows.append(group | suite | task | {"instruction": instruction} | summarise(of_task))
            rows.append(group | suite | {"task": ALL} | summarise(of_suite))
        rows.append(group | {"suite": ALL, "task": ALL} | summarise(members))
    return rows


def _substeps(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """Each substep of each task under the policy: how often it was reached, and what became of it."""
    for group, members in _split(list(records), "rule", "placement", "suite", "task"):
        found: dict[tuple[int, str], list[dict]] = {}
        for record in members:
            last = {(substep["place"], substep["instruction"]): substep for substep in record["substeps"]}
            for place, substep in last.items():  # of several tries the last one counts
                found.setdefault(place, []).append(substep)
        for (place, instruction), substeps in sorted(found.items()):
            yield group | {
                "index": place,
                "instruction": instruction,
                "reached": len(substeps),
                "of": len(members),
                "advanced": sum(map(_is_done, substeps)),
                "premature": sum(bool(substep["premature"]) for substep in substeps),
                "missed": sum(bool(substep["missed"]) for substep in substeps),
                "median_steps": _median(substep["steps"] for substep in substeps),
                "endings": dict(Counter(substep["ended"] for substep in substeps).most_common()),
            }


def _split(records: Sequence[Record], *names: str) -> list[tuple[dict[str, Any], list[Record]]]:
    """Records by the values of these fields, in the order of their first ones."""
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[name] for name in names), []).append(record)
    return [(dict(zip(names, values, strict=True)), members) for values, members in groups.items()]


def _is_done(substep: dict[str, Any]) -> bool:
    return substep["advanced"] or substep["ended"] == SubstepEnd.GOAL_REACHED


def _failed(record: Record) -> bool:
    return not record["success"]


def _is_boundaries(record: Record) -> bool:
    return isinstance(PROBES[record["probe"]], BoundaryProbe)


def _is_judged(record: Record) -> bool:
    return PROBES[record["probe"]].judged


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    return dict(sum(map(Counter, counts), Counter()).most_common())


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(np.median(found)) if found else None

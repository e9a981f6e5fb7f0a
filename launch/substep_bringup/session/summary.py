"""``summary.json``: plan, substeps, success and speed of one run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from substep_bringup.exit_codes import ExitCode
from substep_bringup.session.bag_stats import BagStats
from substep_bringup.session.recorder import VideoStats
from substep_bringup.session.tracker import History
from substep_core.provenance import versions


@dataclass(frozen=True)
class SessionOutcome:
    """How a run ended.

    Attributes:
        verdict: "success", "failed", "aborted", "interrupted", "bring-up failed", …
        success: the world's own verdict.
        error_code, error: of ExecuteTask, with its name; 0 and "NONE" when there was none.
        message: for people.
        clarification: a question that the user can answer by asking again; with --yes the answer is yes.
    """

    exit_code: ExitCode
    verdict: str
    success: bool = False
    error_code: int = 0
    error: str = "NONE"
    message: str = ""
    clarification: str = ""


def summarise(
    outcome: SessionOutcome,
    history: History,
    video: VideoStats | None,
    config: Mapping[str, Any],
    task_text: str,
    started: datetime,
    duration: float,
    bag: BagStats | None = None,
) -> dict[str, Any]:
    """The content of summary.json.

    Args:
        config: the arguments of the run, seeds among them.
        task_text: what the planner was told; "" for the task's own instruction.
        duration: s of wall time, from the start of the session to its end.
    """
    status = history.status
    return {
        "verdict": outcome.verdict,
        "success": outcome.success,
        "exit_code": int(outcome.exit_code),
        "error": {
            "code": outcome.error_code,
            "name": outcome.error,
            "message": outcome.message,
            "clarification": outcome.clarification,
        },
        "task": {
            "suite": status.suite if status else None,
            "index": status.task_index if status else None,
            "instruction": status.instruction if status else None,
            "told": task_text or (status.instruction if status else ""),
        },
        "policy": history.model,
        "plan": {"source": history.plan_source, "substeps": [asdict(record) for record in history.substeps]},
        "events": [asdict(event) for event in history.events],
        "steps": status.step if status else 0,
        "episode": status.episode if status else None,
        "steps_per_second": round(history.steps_per_second, 2),
        "running_time_s": round(history.wall_time, 3),
        "session_time_s": round(duration, 3),
        "chunks": {**history.chunks, "rejections": history.rejections},
        "chunk_latency_s": latency(history.inference_times),
        "video": asdict(video) if video else None,
        "bag": asdict(bag) if bag else None,
        "started": started.astimezone().isoformat(timespec="seconds"),
        "config": dict(config),
        "versions": versions(),
    }


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write it whole or not at all."""
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(draft, path)


def latency(seconds: Sequence[float]) -> dict[str, float | int | None]:
    """From a complete observation to its chunk: median, 99th percentile and largest, in s."""
    if not seconds:
        return {"count": 0, "median": None, "p99": None, "max": None}
    values = np.asarray(seconds)
    return {
        "count": len(values),
        "median": round(float(np.median(values)), 6),
        "p99": round(float(np.quantile(values, 0.99)), 6),
        "max": round(float(values.max()), 6),
    }

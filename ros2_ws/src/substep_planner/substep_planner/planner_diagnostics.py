"""What the planner says of itself on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from substep_planner.completion.scorer import CompletionScorer
from substep_planner.completion.views import CameraViews
from substep_planner.decomposers.fallback import Decomposition
from substep_planner.task_events import Finish, Report


def task_status(name: str, last: Report | Finish | None) -> DiagnosticStatus:
    """Where the task stands, or how the last one ended."""
    if last is None:
        return _status(f"{name}: task", name, "no task yet")
    if isinstance(last, Finish):
        values = {
            "error_code": f"{last.code.value} {last.code.name}",
            "plan_source": last.source,
            "substeps_completed": last.completed,
            "substeps_total": last.total,
        }
        level = DiagnosticStatus.OK if last.as_wished else DiagnosticStatus.ERROR
        return _status(f"{name}: task", name, last.message, level, values)
    values = {
        "plan_id": last.key.plan_id,
        "plan_source": last.source,
        "substep_index": last.key.index,
        "substeps_total": len(last.plan),
        "attempt": last.key.attempt,
        "steps": last.steps,
        "eos_probability": last.eos_probability,
        "similarity": last.similarity,
    }
    return _status(f"{name}: task", name, last.plan[last.key.index].instruction, values=values)


def goals_status(name: str, busy: bool, last_rejection: str) -> DiagnosticStatus:
    """Whether a goal would be taken, and why the last one was not."""
    return _status(f"{name}: goals", name, "busy" if busy else "ready", values={"last_rejection": last_rejection})


def plan_status(name: str, last: Decomposition | None) -> DiagnosticStatus:
    """Who made the last plan, and what there is to say about it."""
    if last is None:
        return _status(f"{name}: plan", name, "no plan yet")
    level = DiagnosticStatus.WARN if last.remarks else DiagnosticStatus.OK
    values = {"source": last.sourced.source, "remarks": "; ".join(last.remarks)}
    return _status(f"{name}: plan", name, f"plan by {last.sourced.source}", level, values)


def completion_status(name: str, scorer: CompletionScorer | None, views: CameraViews | None) -> DiagnosticStatus:
    """Who looks whether substeps are done, and which camera lets it down."""
    if scorer is None or views is None:
        return _status(f"{name}: completion", name, "nobody looks")
    if missed := views.missed:
        message = f"{scorer.name} scores nothing: no frames come of camera {', '.join(missed)}"
        return _status(f"{name}: completion", name, message, DiagnosticStatus.ERROR)
    return _status(f"{name}: completion", name, f"{scorer.name} looks through {', '.join(scorer.cameras)}")


def _status(
    name: str, node: str, message: str, level: bytes = DiagnosticStatus.OK, values: Mapping[str, Any] | None = None
) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=str(value)) for key, value in (values or {}).items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=node, values=pairs)

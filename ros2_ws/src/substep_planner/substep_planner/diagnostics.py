"""The planner's status messages on /diagnostics."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticStatus

from substep_core.ros.diagnostics import diagnostic_status
from substep_planner.decomposers.fallback import Decomposition
from substep_planner.decomposers.registry import FailedDecomposer
from substep_planner.lookout import Lookout
from substep_planner.manager.events import Finish, TaskFeedback


def task_status(name: str, last: TaskFeedback | Finish | None) -> DiagnosticStatus:
    """Where the task stands, or how the last one ended."""
    if last is None:
        return diagnostic_status(name, "task", "no task yet")
    if isinstance(last, Finish):
        values = {
            "error_code": f"{last.code.value} {last.code.name}",
            "plan_source": last.source,
            "substeps_completed": last.completed,
            "substeps_total": last.total,
        }
        level = DiagnosticStatus.OK if last.as_wished else DiagnosticStatus.ERROR
        return diagnostic_status(name, "task", last.message, level, values)
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
    return diagnostic_status(name, "task", last.plan[last.key.index].instruction, values=values)


def goals_status(name: str, busy: bool, last_rejection: str) -> DiagnosticStatus:
    """Whether a goal would be taken, and why the last one was not."""
    return diagnostic_status(name, "goals", "busy" if busy else "ready", values={"last_rejection": last_rejection})


def plan_status(name: str, last: Decomposition | None, failed: Sequence[FailedDecomposer]) -> DiagnosticStatus:
    """Who made the last plan, what there is to say about it, and which decomposers could not be loaded."""
    made = f"plan by {last.sourced.source}" if last is not None else "no plan yet"
    remarks = last.remarks if last is not None else ()
    level = DiagnosticStatus.WARN if remarks or failed else DiagnosticStatus.OK
    values = {
        "source": last.sourced.source if last is not None else "",
        "remarks": "; ".join(remarks),
        "failed": "; ".join(f"{item.name} {item.why}" for item in failed),
    }
    return diagnostic_status(name, "plan", made, level, values)


def completion_status(name: str, lookout: Lookout | None) -> DiagnosticStatus:
    """Who looks whether substeps are done, and which camera lets it down."""
    if lookout is None:
        return diagnostic_status(name, "completion", "nobody looks")
    scorer = lookout.scorer
    if missed := lookout.views.missed:
        message = f"{scorer.name} scores nothing: no frames come of camera {', '.join(missed)}"
        return diagnostic_status(name, "completion", message, DiagnosticStatus.ERROR)
    return diagnostic_status(name, "completion", f"{scorer.name} looks through {', '.join(scorer.cameras)}")

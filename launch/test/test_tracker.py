"""What a run is remembered by: substeps and why they ended, figures, complaints, and the summary made of it."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import Log
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActionChunk, ChunkReport, EpisodeStatus, Substep

from substep_bringup.exit_codes import ExitCode
from substep_bringup.session.complaints import Complaints
from substep_bringup.session.display import progress_text
from substep_bringup.session.summary import SessionOutcome, latency, summarise, write_summary
from substep_bringup.session.tracker import Progress, RunTracker
from substep_core.protocol import Cause, TaskEvent

PLAN = [Substep(instruction="pick up the mug"), Substep(instruction="place the mug")]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tracker(clock) -> RunTracker:
    return RunTracker(clock)


def feedback(
    index: int,
    event: TaskEvent,
    cause: Cause = Cause.NONE,
    plan_id: str = "a",
    attempt: int = 0,
    done: int | None = None,
) -> ExecuteTask.Feedback:
    """Without a text: it is for people alone."""
    return ExecuteTask.Feedback(
        plan_id=plan_id,
        plan_source="library",
        plan=PLAN,
        substep_index=index,
        substeps_done=index if done is None else done,
        attempt=attempt,
        event=event,
        cause=cause,
    )


def report(index: int, steps: int, outcome: int = ChunkReport.PLAYED, plan_id: str = "a", **values) -> ChunkReport:
    return ChunkReport(plan_id=plan_id, substep_index=index, steps_played=steps, outcome=outcome, **values)


def ended(tracker: RunTracker) -> list[tuple[str, int, str]]:
    return [(record.instruction, record.steps, record.ended) for record in tracker.history().substeps]


def test_substeps_are_counted_by_what_was_played_for_them(tracker):
    tracker.hear_feedback(feedback(0, TaskEvent.STARTED))
    tracker.hear_report(report(0, 8))
    tracker.hear_report(report(0, 3, ChunkReport.PLAYED_EOS))
    tracker.hear_feedback(feedback(1, TaskEvent.ADVANCED, Cause.EOS))
    tracker.hear_report(report(1, 5, ChunkReport.SUPERSEDED))
    tracker.hear_feedback(feedback(1, TaskEvent.ADVANCED, Cause.VISION))
    tracker.finish("goal reached")
    assert ended(tracker) == [("pick up the mug", 11, "eos"), ("place the mug", 5, "vision")]
    assert tracker.history().chunks == {"played": 1, "played_eos": 1, "superseded": 1}


def test_a_report_that_comes_after_the_switch_still_counts(tracker):
    tracker.hear_feedback(feedback(0, TaskEvent.STARTED))
    tracker.hear_feedback(feedback(1, TaskEvent.ADVANCED, Cause.EOS))
    assert tracker.take_ended() == []  # its steps are not known yet
    tracker.hear_report(report(0, 8, ChunkReport.PLAYED_EOS))
    assert [record.steps for record in tracker.take_ended()] == [8]
    tracker.finish("canceled")
    assert [record.instruction for record in tracker.take_ended()] == ["place the mug"]
    assert ended(tracker) == [("pick up the mug", 8, "eos"), ("place the mug", 0, "canceled")]


def test_the_last_steps_are_waited_for(tracker):
    tracker.hear_status(EpisodeStatus(episode=1, step=8))
    assert tracker.is_settled()  # nothing is under way
    tracker.hear_feedback(feedback(0, TaskEvent.STARTED))
    tracker.hear_report(report(0, 6))
    assert not tracker.is_settled()
    tracker.hear_report(report(0, 2))
    assert tracker.is_settled()
    tracker.hear_status(EpisodeStatus(episode=1, step=30))  # with the realtime clock the arm may hold in between
    tracker.hear_report(report(0, 1, ChunkReport.SUPERSEDED))
    assert tracker.is_settled()


def test_a_result_that_overtakes_the_feedback_is_noticed(tracker):
    assert tracker.has_heard(0, 0)  # there was no plan
    assert not tracker.has_heard(0, 2)
    tracker.hear_feedback(feedback(0, TaskEvent.STARTED))
    assert tracker.has_heard(0, 2)
    assert not tracker.has_heard(1, 2)  # the second began
    assert not tracker.has_heard(2, 2)  # all are done
    tracker.hear_feedback(feedback(1, TaskEvent.ADVANCED, Cause.EOS))
    assert tracker.has_heard(1, 2)
    assert tracker.has_heard(2, 2)
    tracker.hear_feedback(feedback(0, TaskEvent.REPLANNED, plan_id="a.1", done=1))
    assert not tracker.has_heard(2, 3)  # the new plan's first substep is the task's second


def test_retries_are_attempts_of_one_substep_and_a_new_plan_begins_anew(tracker):
    tracker.hear_feedback(feedback(0, TaskEvent.STARTED))
    tracker.hear_feedback(feedback(0, TaskEvent.RETRIED, Cause.TIMEOUT, attempt=1))
    tracker.hear_feedback(feedback(0, TaskEvent.REPLANNING, Cause.TIMEOUT, attempt=1))
    tracker.hear_feedback(feedback(0, TaskEvent.REPLANNED, plan_id="a.1"))
    records = tracker.history().substeps
    kept = [(record.plan_id, record.attempts, record.ended) for record in records]
    assert kept == [("a", 2, "replanned"), ("a.1", 1, "")]
    assert [(event.event, event.cause) for event in tracker.history().events] == [
        ("started", "none"), ("retried", "timeout"), ("replanning", "timeout"), ("replanned", "none"),
    ]  # fmt: skip


def test_what_is_begun_again_is_not_done(tracker):
    tracker.hear_feedback(feedback(0, TaskEvent.STARTED))
    tracker.hear_feedback(feedback(1, TaskEvent.ADVANCED, Cause.EOS))
    tracker.hear_feedback(feedback(0, TaskEvent.RETRIED_FROM_PICK_UP, Cause.TIMEOUT, plan_id="a.1"))
    assert not tracker.has_heard(1, 2)
    tracker.hear_feedback(feedback(1, TaskEvent.ADVANCED, Cause.EOS, plan_id="a.1"))
    assert tracker.has_heard(1, 2)
    records = tracker.history().substeps
    assert [(record.place, record.attempts, record.ended, record.undone) for record in records] == [
        (0, 1, "eos", True), (1, 1, "tried again", False), (0, 1, "eos", False), (1, 1, "", False),
    ]  # fmt: skip


def test_progress_counts_steps_within_the_substep(tracker, clock):
    tracker.hear_status(EpisodeStatus(episode=1, step=0))
    tracker.hear_feedback(feedback(0, TaskEvent.STARTED))
    tracker.hear_status(EpisodeStatus(episode=1, step=10))
    tracker.hear_feedback(feedback(1, TaskEvent.ADVANCED, Cause.EOS))
    clock.now = 2.0
    tracker.hear_status(EpisodeStatus(episode=1, step=14))
    progress = tracker.progress()
    assert (progress.index, progress.count, progress.substep_steps, progress.episode_steps) == (1, 2, 4, 14)
    assert progress_text(progress).startswith("substep 2/2  place the mug  step 4 (14)")


def test_waiting_before_the_first_step_does_not_slow_the_rate(tracker, clock):
    for now, step in ((0.0, 0), (100.0, 0), (101.0, 20), (102.0, 40)):
        clock.now = now
        tracker.hear_status(EpisodeStatus(episode=1, step=step))
    assert tracker.progress().steps_per_second == 20.0


def test_a_reset_starts_the_rate_anew(tracker, clock):
    for now, episode, step in ((0.0, 1, 0), (1.0, 1, 50), (5.0, 2, 0), (6.0, 2, 10)):
        clock.now = now
        tracker.hear_status(EpisodeStatus(episode=episode, step=step))
    assert tracker.progress().steps_per_second == 10.0


@pytest.mark.parametrize(
    ("chunk", "shown"),
    [
        (ActionChunk(eos_probabilities=[0.1, 0.7, 0.2]), "EOS 0.70"),
        (ActionChunk(eos_index=3), "EOS 1.00"),
        (ActionChunk(eos_index=-1), "EOS -"),
    ],
)
def test_the_eos_shown_is_that_of_the_newest_chunk(tracker, chunk, shown):
    tracker.hear_feedback(feedback(0, TaskEvent.STARTED))
    tracker.hear_chunk(chunk)
    assert shown in progress_text(tracker.progress())


def test_why_the_arm_holds_is_shown_while_there_is_no_substep():
    assert progress_text(Progress(hold_reason="waiting for a chunk")) == "waiting for a chunk"


# --- complaints ---


def log(level: int, text: str, name: str = "arm.policy") -> Log:
    return Log(level=level[0] if isinstance(level, bytes) else level, name=name, msg=text)


def diagnostics(level: bytes, text: str) -> DiagnosticArray:
    return DiagnosticArray(
        status=[DiagnosticStatus(level=level, name="arm/policy: inference", hardware_id="arm/policy", message=text)]
    )


def test_an_error_in_the_diagnostics_comes_before_the_log_and_errors_before_warnings():
    complaints = Complaints()
    assert complaints.newest("arm/policy") == ""
    complaints.hear_log(log(Log.WARN, "slow"))
    assert complaints.newest("arm/policy") == "slow"
    complaints.hear_log(log(Log.ERROR, "no weights"))
    complaints.hear_log(log(Log.WARN, "slow again"))
    assert complaints.newest("arm/policy") == "no weights"
    complaints.hear_diagnostics(diagnostics(DiagnosticStatus.OK, "ok"))
    complaints.hear_diagnostics(diagnostics(DiagnosticStatus.ERROR, "weights are missing in /models"))
    assert complaints.newest("arm/policy") == "weights are missing in /models"
    assert complaints.newest("policy") == ""


def test_warnings_are_passed_on_once_and_chatter_never():
    complaints = Complaints()
    complaints.hear_log(log(Log.INFO, "loaded"))
    complaints.hear_log(log(Log.WARN, "slow"))
    assert [complaint.text for complaint in complaints.take_unread()] == ["slow"]
    assert complaints.take_unread() == []


# --- summary ---


def test_the_summary_of_a_run(tracker, tmp_path):
    tracker.hear_status(EpisodeStatus(suite="libero_10", task_index=3, instruction="move the mug", episode=2, step=8))
    tracker.hear_feedback(feedback(0, TaskEvent.STARTED))
    tracker.hear_chunk(ActionChunk(model="demonstrator", eos_index=-1))
    tracker.hear_report(report(0, 8, inference_time=0.5))
    why = ChunkReport.REASON_NOT_FINITE
    tracker.hear_report(report(0, 0, ChunkReport.REJECTED, reason_kind=why, inference_time=0.1))
    tracker.finish("policy_silent")
    outcome = SessionOutcome(ExitCode.TASK_FAILED, "aborted", error_code=160, error="POLICY_SILENT", message="no chunk")
    summary = summarise(outcome, tracker.history(), None, {"seed": 4}, "", datetime(2030, 1, 2), 12.5)
    write_summary(tmp_path / "summary.json", summary)
    read = json.loads((tmp_path / "summary.json").read_text())
    assert read == summary
    assert (read["success"], read["exit_code"], read["error"]["name"]) == (False, 1, "POLICY_SILENT")
    assert read["task"] == {"suite": "libero_10", "index": 3, "instruction": "move the mug", "told": "move the mug"}
    assert read["plan"]["source"] == "library" and read["policy"] == "demonstrator"
    assert read["chunks"] == {"played": 1, "rejected": 1, "rejections": {"not finite": 1}}
    assert (read["config"], read["steps"], read["video"]) == ({"seed": 4}, 8, None)
    assert "numpy" in read["versions"]


def test_a_run_that_never_began_has_a_summary_too(tracker):
    outcome = SessionOutcome(ExitCode.BRINGUP_FAILED, "bring-up failed", message="node bridge …")
    summary = summarise(outcome, tracker.history(), None, {}, "stack the mugs", datetime(2030, 1, 2), 0.5)
    assert summary["task"]["told"] == "stack the mugs"
    assert summary["chunk_latency_s"] == {"count": 0, "median": None, "p99": None, "max": None}


def test_latencies():
    assert latency([0.1] * 99 + [1.0]) == {"count": 100, "median": 0.1, "p99": 0.109, "max": 1.0}

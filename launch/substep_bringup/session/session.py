"""The order of a run: bring up, start the episode, have the task carried out, keep what it left, take down."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime

from libero_bridge.chunk_player import NO_SUBSTEP
from substep_bringup.exit_codes import ExitCode
from substep_bringup.session.bringup import ANSWER, Bringup, BringupFailed
from substep_bringup.session.complaints import Severity
from substep_bringup.session.display import Display
from substep_bringup.session.interruption import Interrupted, Interruption, TookTooLong, wait_quietly
from substep_bringup.session.session_config import SessionConfig
from substep_bringup.session.session_node import LAST_WORDS, SessionNode
from substep_bringup.session.summary import Outcome, summarise, write_summary
from substep_planner.errors import ErrorCode

CANCELLING = 3.0  # s
REST = 10.0  # s for the world to come to rest and to say whether that is the goal
WORTH_A_LINE = 0.3  # s of waiting


class Session:
    """Runs one task through a graph whose processes somebody else has started and watches.

    Args:
        node: its callbacks are executed in another thread.
    """

    def __init__(self, config: SessionConfig, node: SessionNode, display: Display, interruption: Interruption) -> None:
        self._config = config
        self._node = node
        self._display = display
        self._interruption = interruption
        self._bringup = Bringup(node, config, self._wait)
        self._started = datetime.now()
        self._began = time.monotonic()

    def run(self) -> ExitCode:
        """Carry the run out, whatever comes, and leave its summary."""
        outcome = self._attempt()
        self._node.tracker.finish(_why_the_substep_ended(outcome))
        self._show_ended()
        self._keep(outcome)
        self._display.phase("shutting the nodes down", 0.0)
        self._bringup.down()
        return outcome.exit_code

    def _attempt(self) -> Outcome:
        try:
            self._bringup.up()
            self._start_episode()
            return self._carry_out()
        except BringupFailed as error:
            return Outcome(ExitCode.BRINGUP_FAILED, "bring-up failed", message=str(error))
        except Interrupted as interrupted:
            self._cancel()
            return self._interrupted(interrupted)

    # --- the task ---

    def _start_episode(self) -> None:
        tracker = self._node.tracker
        try:
            self._wait(lambda: tracker.status is not None, self._config.start_timeout, "waiting for the world")
            if tracker.status.step > 0 or tracker.status.done:  # a graph that was running before this session
                self._reset()
            self._wait(self._node.execute_task.is_ready, ANSWER, "waiting for the planner")
        except TookTooLong:
            raise BringupFailed("the bridge publishes no episode_status, or the planner offers no action") from None

    def _reset(self) -> None:
        answer = self._node.reset_episode(self._config.placement, self._config.init_state, self._config.seed)
        self._wait(answer.done, self._config.start_timeout, "resetting the world")
        if not answer.result().success:
            raise BringupFailed(f"the world cannot be reset: {answer.result().message}")

    def _carry_out(self) -> Outcome:
        goal = self._node.send_goal(self._config.task_text)
        try:
            self._wait(goal.is_answered, ANSWER, "handing over the task")
        except TookTooLong:
            raise BringupFailed("the planner does not answer to the task") from None
        if not goal.accepted:
            return Outcome(ExitCode.TASK_FAILED, "rejected", message=self._node.last_word("planner"))
        self._interruption.wait(goal.is_over, meanwhile=self._show_progress)
        return self._judge(goal.result)

    def _judge(self, result) -> Outcome:
        """The world decides, once it has come to rest; its last words may still be on their way."""
        tracker = self._node.tracker
        if result.success:
            with suppress(TookTooLong):
                self._wait(
                    lambda: tracker.status.done or tracker.status.hold_reason == NO_SUBSTEP,
                    REST,
                    "waiting for the world to come to rest",
                )
        wait_quietly(lambda: tracker.has_heard(result.substeps_completed, result.substeps_total), LAST_WORDS)
        wait_quietly(tracker.is_settled, LAST_WORDS)
        common = {"error_code": result.error_code, "error": _error_name(result.error_code), "message": result.message}
        if tracker.status.success:
            return Outcome(ExitCode.SUCCESS, "success", success=True, **common)
        if result.success:
            common["message"] = f"{result.message}, but the world says that the goal does not hold"
        return Outcome(ExitCode.TASK_FAILED, "failed" if result.success else "aborted", **common)

    def _cancel(self) -> None:
        goal = self._node.goal
        if goal is None or not wait_quietly(goal.is_answered, CANCELLING) or not goal.accepted:
            return
        goal.cancel()
        wait_quietly(goal.is_over, CANCELLING)

    def _interrupted(self, interrupted: Interrupted) -> Outcome:
        failure = self._config.run_folder.failure()
        status = self._node.tracker.status
        return Outcome(
            exit_code=ExitCode.NODE_DIED if failure else interrupted.exit_code,
            verdict="node died" if failure else "interrupted",
            success=bool(status and status.success),
            error_code=ErrorCode.CANCELED,
            error=ErrorCode.CANCELED.name,
            message=failure or str(interrupted),
        )

    # --- what is left ---

    def _keep(self, outcome: Outcome) -> None:
        """Video and summary. Signals do not disturb this."""
        self._pass_on_complaints(known=outcome.message)
        video = self._node.close_video()
        summary = summarise(
            outcome,
            self._node.tracker.history(),
            video,
            self._config.run_folder.config(),
            self._config.task_text,
            self._started,
            time.monotonic() - self._began,
        )
        write_summary(self._config.run_folder.summary, summary)
        self._display.message(*_closing_line(outcome, summary))
        self._display.message(f"video, summary and logs: {self._config.run_folder.path}")
        if video and video.problem:
            self._display.message(f"video: {video.problem}", "yellow")

    # --- waiting ---

    def _wait(self, condition, seconds: float, what: str) -> None:
        """Show what is waited for. Raises Interrupted or TookTooLong."""
        since = time.monotonic()

        def show() -> None:
            waited = time.monotonic() - since
            if waited > WORTH_A_LINE:
                self._display.phase(what, waited)

        self._interruption.wait(condition, seconds, show)

    def _show_progress(self) -> None:
        self._pass_on_complaints()
        self._show_ended()
        self._display.progress(self._node.tracker.progress())

    def _show_ended(self) -> None:
        for record in self._node.tracker.take_ended():
            what = f"substep {record.index + 1}  {record.instruction}"
            self._display.message(f"{what}: {record.ended}, {record.steps} steps")

    def _pass_on_complaints(self, known: str = "") -> None:
        """Complaints that ``known`` quotes are not repeated."""
        for complaint in self._node.complaints.take_unread():
            if complaint.text in known:
                continue
            style = "red" if complaint.severity is Severity.ERROR else "yellow"
            self._display.message(f"[{complaint.node}] {complaint.text}", style)


def _why_the_substep_ended(outcome: Outcome) -> str:
    """For the substep that was active at the end."""
    if outcome.success:
        return "goal reached"
    return outcome.error.lower() if outcome.error_code else outcome.verdict


def _error_name(code: int) -> str:
    return ErrorCode(code).name if code in list(ErrorCode) else str(code)


def _closing_line(outcome: Outcome, summary: dict) -> tuple[str, str]:
    """The line that says how it ended, and its style."""
    message = f": {outcome.message}" if outcome.message else ""
    steps, rate = summary["steps"], summary["steps_per_second"]
    figures = f" ({steps} steps, {rate:.0f} steps/s)" if steps else ""
    return f"{outcome.verdict}{message}{figures}", "bold green" if outcome.success else "bold red"

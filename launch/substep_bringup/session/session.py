"""The order of a run: bring up, start the episode, have the task carried out, keep what it left, take down."""

from __future__ import annotations

import time
from datetime import datetime

from lifecycle_msgs.msg import State

from substep_bringup.exit_codes import ExitCode
from substep_bringup.session.complaints import Severity
from substep_bringup.session.display import Display
from substep_bringup.session.interruption import Interrupted, Interruption, TookTooLong, wait_quietly
from substep_bringup.session.lifecycle import ACTIVATE, CONFIGURE, SHUTDOWN, ManagedNode
from substep_bringup.session.session_config import SessionConfig
from substep_bringup.session.session_node import SessionNode
from substep_bringup.session.summary import Outcome, summarise, write_summary
from substep_planner.errors import ErrorCode

LAST_WORDS = 2.0  # s for news that is on its way when something ends
ANSWER = 10.0  # s for an answer that takes no work
CANCELLING = 3.0  # s
ANSWER_WHEN_ENDING = 2.0  # s; whoever has died does not answer
WORTH_A_LINE = 0.3  # s of waiting
SHUTTING_DOWN = 5.0  # s for each node


class BringupFailed(Exception):
    """The graph did not come up; the message names the node and says what it said."""


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
        self._managed = [ManagedNode(node, name) for name in config.nodes]
        self._started = datetime.now()
        self._began = time.monotonic()

    def run(self) -> ExitCode:
        """Carry the run out, whatever comes, and leave its summary."""
        outcome = self._attempt()
        self._node.tracker.finish(_why_the_substep_ended(outcome))
        self._show_ended()
        self._keep(outcome)
        self._take_down()
        return outcome.exit_code

    def _attempt(self) -> Outcome:
        try:
            self._bring_up()
            self._start_episode()
            return self._carry_out()
        except BringupFailed as error:
            return Outcome(ExitCode.BRINGUP_FAILED, "bring-up failed", message=str(error))
        except Interrupted as interrupted:
            self._cancel()
            return self._interrupted(interrupted)

    # --- bring-up ---

    def _bring_up(self) -> None:
        for managed in self._managed:
            self._wait_for_start(managed)
        fresh = [managed for managed in self._managed if self._state_of(managed) != State.PRIMARY_STATE_ACTIVE]
        self._configure([node for node in fresh if self._state_of(node) == State.PRIMARY_STATE_UNCONFIGURED])
        for managed in fresh:
            self._activate(managed)

    def _wait_for_start(self, managed: ManagedNode) -> None:
        limit = self._config.start_timeout
        try:
            self._wait(managed.is_there, limit, f"waiting for node {managed.name}")
        except TookTooLong:
            raise BringupFailed(f"node {managed.name} has not come up within {limit:.0f} s") from None

    def _state_of(self, managed: ManagedNode) -> int:
        answer = managed.ask_state()
        try:
            self._wait(answer.done, ANSWER, f"asking node {managed.name} for its state")
        except TookTooLong:
            raise BringupFailed(f"node {managed.name} does not say which state it is in") from None
        return answer.result().current_state.id

    def _configure(self, nodes: list[ManagedNode]) -> None:
        """All at once: loading a simulator and loading a model take long, and neither needs the other."""
        answers = {managed: managed.request(CONFIGURE) for managed in nodes}
        limit = time.monotonic() + self._config.configure_timeout
        while answers:
            names = ", ".join(managed.name for managed in answers)
            try:
                self._wait(
                    lambda: any(answer.done() for answer in answers.values()),  # noqa: B023 (called in this round)
                    limit - time.monotonic(),
                    f"configuring {names}",
                )
            except TookTooLong:
                raise BringupFailed(f"not configured in {self._config.configure_timeout:.0f} s: {names}") from None
            for managed in [managed for managed, answer in answers.items() if answer.done()]:
                self._require(managed, answers.pop(managed).result().success, "refused to configure")

    def _activate(self, managed: ManagedNode) -> None:
        answer = managed.request(ACTIVATE)
        try:
            self._wait(answer.done, self._config.start_timeout, f"activating {managed.name}")
        except TookTooLong:
            raise BringupFailed(f"node {managed.name} did not become active") from None
        self._require(managed, answer.result().success, "refused to become active")

    def _require(self, managed: ManagedNode, success: bool, refusal: str) -> None:
        if not success:
            raise BringupFailed(f"node {managed.name} {refusal}: {self._last_word(managed.name)}")

    # --- the task ---

    def _start_episode(self) -> None:
        tracker = self._node.tracker
        try:
            self._wait(lambda: tracker.status is not None, self._config.start_timeout, "waiting for the world")
            if tracker.status.step > 0 or tracker.status.done:  # a graph that was running before this session
                self._reset()
            self._wait(self._node.execute_task.server_is_ready, ANSWER, "waiting for the planner")
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
            return Outcome(ExitCode.TASK_FAILED, "rejected", message=self._last_word("planner"))
        self._interruption.wait(goal.is_over, meanwhile=self._show_progress)
        return self._judge(goal.result)

    def _judge(self, result) -> Outcome:
        """The world decides; its last words may still be on their way."""
        tracker = self._node.tracker
        if result.success:
            wait_quietly(lambda: tracker.status.success, LAST_WORDS)
        wait_quietly(tracker.is_settled, LAST_WORDS)
        common = {"error_code": result.error_code, "error": _error_name(result.error_code), "message": result.message}
        if tracker.status.success:
            return Outcome(ExitCode.SUCCESS, "success", success=True, **common)
        if result.success:
            common["message"] = f"{result.message}, but the world says that the goal does not hold"
        return Outcome(ExitCode.TASK_FAILED, "failed" if result.success else "aborted", **common)

    def _last_word(self, node: str) -> str:
        """What a node complained about; asked for when it has just refused something, so it may still be on its way."""
        name = self._node.full_name(node)
        wait_quietly(lambda: self._node.complaints.newest(name) != "", LAST_WORDS)
        return self._node.complaints.newest(name) or f"{node} did not say why; see its log"

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

    def _take_down(self) -> None:
        """In the reverse order, without those that are gone or stuck in a transition; they are ended as processes."""
        self._display.phase("shutting the nodes down", 0.0)
        reachable = [node for node in reversed(self._managed) if node.is_there() and not node.is_busy()]
        states = {managed: managed.ask_state() for managed in reachable}
        wait_quietly(lambda: all(state.done() for state in states.values()), ANSWER_WHEN_ENDING)
        for managed in [managed for managed in reachable if states[managed].done()]:
            transition = SHUTDOWN.get(states[managed].result().current_state.id)
            if transition is not None:
                wait_quietly(managed.request(transition).done, SHUTTING_DOWN)

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

"""The order of a run: bring up, start the episode, have the task carried out, keep what it left, take down."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from rclpy.task import Future

from substep_bringup.exit_codes import ExitCode
from substep_bringup.graph import BAG, RECORDER
from substep_bringup.session.bag_stats import BagStats, bag_stats
from substep_bringup.session.bringup import ANSWER, Bringup, BringupFailed
from substep_bringup.session.complaints import Severity
from substep_bringup.session.display import Display
from substep_bringup.session.interruption import Interrupted, Interruption, TookTooLong, wait_quietly
from substep_bringup.session.recorder import VideoStats
from substep_bringup.session.session_config import SessionConfig
from substep_bringup.session.session_node import LAST_WORDS, SessionNode
from substep_bringup.session.summary import SessionOutcome, summarise, write_summary
from substep_core.errors import ErrorCode
from substep_core.protocol import HoldKind, SubstepEnd

CANCELLING = 3.0  # s
UNTIL_ARMED = 600.0  # s for a person to look at the robot, and to arm it
REST = 10.0  # s for the world to come to rest and to say whether that is the goal
WORTH_A_LINE = 0.3  # s of waiting
STARTER_GONE = "the program that started the run has ended, and the nodes with it"


class PlannerSilent(Exception):
    """The planner gives no sign of life, so that its task would never end."""


class Session:
    """Runs one task through a graph whose processes the process runner or launch has started and watches.

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
        self._starter = os.getppid()

    def run(self) -> ExitCode:
        """Carry the run out, whatever comes, and leave its summary."""
        outcome = self._attempt()
        self._node.tracker.finish(_why_the_substep_ended(outcome))
        self._show_ended()
        self._keep(outcome)
        self._display.phase("shutting the nodes down", 0.0)
        self._bringup.down()
        return outcome.exit_code

    def _attempt(self) -> SessionOutcome:
        try:
            self._bringup.up()
            self._start_episode()
            self._have_the_robot_armed()
            return self._carry_out()
        except PlannerSilent as error:
            return self._aborted(ErrorCode.PLANNER_SILENT, str(error))
        except BringupFailed as error:
            return SessionOutcome(ExitCode.BRINGUP_FAILED, "bring-up failed", message=str(error))
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
        self._begin_video()

    def _begin_video(self) -> None:
        """Images are lossy and their way is found late: a task that began before the first one would lack its start."""
        try:
            self._wait(self._node.video_is_under_way, ANSWER, "waiting for the cameras")
        except TookTooLong:
            cameras = ", ".join(self._config.cameras) or "the robot's cameras"
            text = f"no images of {cameras} have come within {ANSWER:.0f} s: the video begins when they do"
            self._display.message(text, "yellow")

    def _have_the_robot_armed(self) -> None:
        """A real robot takes commands only when somebody has said so, here or by its services."""
        if not self._config.waits_for_robot:
            return
        tracker = self._node.tracker
        try:
            if self._config.arms_robot and self._refused(self._node.ask_to_arm()):  # it is not armed already
                if why := self._refused(self._node.ask_for_shadow()) or self._refused(self._node.ask_to_arm()):
                    raise BringupFailed(f"the robot is not armed: {why}")
            asked = "waiting for somebody to arm the robot (services robot/shadow and robot/arm)"
            self._wait(lambda: tracker.status.hold_kind != HoldKind.ROBOT_DISABLED, UNTIL_ARMED, asked)
        except TookTooLong:
            raise BringupFailed("nobody has armed the robot: services robot/shadow and robot/arm") from None

    def _refused(self, answer: Future) -> str:
        """Why a service of the robot's safety has refused; "": it has done what it is for. Raises: TookTooLong."""
        self._wait(answer.done, ANSWER, "arming the robot")
        return "" if answer.result().success else answer.result().message

    def _reset(self) -> None:
        answer = self._node.reset_episode(self._config.placement, self._config.init_state, self._config.seed)
        self._wait(answer.done, self._config.start_timeout, "resetting the world")
        if not answer.result().success:
            raise BringupFailed(f"the world cannot be reset: {answer.result().message}")

    def _carry_out(self) -> SessionOutcome:
        goal = self._node.send_goal(self._config.task_text)
        try:
            self._wait(goal.is_answered, ANSWER, "handing over the task")
        except TookTooLong:
            raise BringupFailed("the planner does not answer to the task") from None
        if not goal.accepted:
            return self._rejected()
        self._interruption.wait(goal.is_over, meanwhile=self._follow)
        return self._judge(goal.result)

    def _follow(self) -> None:
        self._show_progress()
        if self._node.planner_silence() > self._config.planner_silence:
            raise PlannerSilent(f"nothing heard from the planner for {self._config.planner_silence:g} s")

    def _rejected(self) -> SessionOutcome:
        wait_quietly(lambda: self._node.rejection is not None, LAST_WORDS)  # it may come after the answer to the goal
        why = self._node.rejection
        if why is None:
            return SessionOutcome(ExitCode.TASK_FAILED, "rejected", message="the planner did not say why; see its log")
        name = _error_name(why.error_code)
        return SessionOutcome(ExitCode.TASK_FAILED, "rejected", False, why.error_code, name, f"{name}: {why.message}")

    def _judge(self, result) -> SessionOutcome:
        """The world decides, once it has come to rest; its last words may still be on their way."""
        tracker = self._node.tracker
        if result.success:
            with suppress(TookTooLong):
                self._wait(
                    lambda: tracker.status.done or tracker.status.hold_kind == HoldKind.WAITING_FOR_A_SUBSTEP,
                    REST,
                    "waiting for the world to come to rest",
                )
        wait_quietly(lambda: tracker.has_heard(result.substeps_completed, result.substeps_total), LAST_WORDS)
        wait_quietly(tracker.is_settled, LAST_WORDS)
        common = {"error_code": result.error_code, "error": _error_name(result.error_code), "message": result.message}
        if tracker.status.success:
            return SessionOutcome(ExitCode.SUCCESS, "success", success=True, **common)
        common["clarification"] = result.clarification
        if result.success:
            common["message"] = f"{result.message}, but the world says that the goal does not hold"
        return SessionOutcome(ExitCode.TASK_FAILED, "failed" if result.success else "aborted", **common)

    def _aborted(self, code: ErrorCode, message: str) -> SessionOutcome:
        success = self._node.tracker.status.success
        exit_code = ExitCode.SUCCESS if success else ExitCode.TASK_FAILED
        return SessionOutcome(exit_code, "success" if success else "aborted", success, code, code.name, message)

    def _cancel(self) -> None:
        goal = self._node.goal
        if goal is None or not wait_quietly(goal.is_answered, CANCELLING) or not goal.accepted:
            return
        goal.cancel()
        wait_quietly(lambda: goal.is_over() or not self._node.execute_task.is_ready(), CANCELLING)

    def _interrupted(self, interrupted: Interrupted) -> SessionOutcome:
        failure = self._config.run_folder.failure()
        status = self._node.tracker.status
        return SessionOutcome(
            exit_code=ExitCode.NODE_DIED if failure else interrupted.exit_code,
            verdict="node died" if failure else "interrupted",
            success=bool(status and status.success),
            error_code=ErrorCode.CANCELED,
            error=ErrorCode.CANCELED.name,
            message=failure or (str(interrupted) if os.getppid() == self._starter else STARTER_GONE),
        )

    # --- what is left ---

    def _keep(self, outcome: SessionOutcome) -> None:
        """Video, bag and summary. Signals do not disturb this."""
        self._pass_on_complaints(known=outcome.message)
        video, bag = self._node.close_video(), self._close_bag()
        summary = summarise(
            outcome,
            self._node.tracker.history(),
            video,
            self._config.run_folder.config(),
            self._config.task_text,
            self._started,
            time.monotonic() - self._began,
            bag,
        )
        self._display.message(*_closing_line(outcome, summary))  # first: a disk that is full must not swallow it
        try:
            write_summary(self._config.run_folder.summary, summary)
        except OSError as error:
            self._display.message(f"the run's summary could not be written: {error}", "red")
        self._display.message(_left_behind(video, bag, self._config.run_folder.path))
        for kept, name in ((video, "video"), (bag, "bag")):
            if kept and kept.problem:
                self._display.message(f"{name}: {kept.problem}", "yellow")

    def _close_bag(self) -> BagStats | None:
        """The recorder is shut down first, so that the summary can say what is in the bag; None: none is recorded."""
        if RECORDER not in self._config.nodes:
            return None
        self._bringup.finish(RECORDER)
        folder = self._config.run_folder.path / BAG
        complaint = self._node.complaints.newest(self._node.full_name(RECORDER))
        return bag_stats(folder, complaint) if folder.is_dir() else None

    # --- waiting ---

    def _wait(self, condition, seconds: float, what: str) -> None:
        """Show what is waited for. Raises Interrupted or TookTooLong."""
        since = time.monotonic()

        def show() -> None:
            self._node.turn()
            waited = time.monotonic() - since
            if waited > WORTH_A_LINE:
                self._display.phase(what, waited)

        self._interruption.wait(condition, seconds, show)

    def _show_progress(self) -> None:
        self._node.turn()
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


def _why_the_substep_ended(outcome: SessionOutcome) -> str:
    """For the substep that was active at the end."""
    if outcome.success:
        return SubstepEnd.GOAL_REACHED
    return outcome.error.lower() if outcome.error_code else outcome.verdict


def _error_name(code: int) -> str:
    return ErrorCode(code).name if code in list(ErrorCode) else str(code)


def _left_behind(video: VideoStats | None, bag: BagStats | None, folder: Path) -> str:
    """What is where; a run that hardly began has no video."""
    things = [*(["video"] if video and video.frames else []), *(["bag"] if bag else []), "summary", "logs"]
    return f"{', '.join(things[:-1])} and {things[-1]}: {folder}"


def _closing_line(outcome: SessionOutcome, summary: dict) -> tuple[str, str]:
    """The line that says how it ended, and its style."""
    message = f": {outcome.message}" if outcome.message else ""
    if outcome.clarification:
        message += f"; {outcome.clarification}"
    steps, rate = summary["steps"], summary["steps_per_second"]
    figures = f" ({steps} steps, {rate:.0f} steps/s)" if steps else ""
    return f"{outcome.verdict}{message}{figures}", "bold green" if outcome.success else "bold red"

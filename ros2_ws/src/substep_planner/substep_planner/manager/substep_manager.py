"""Brings one task from its instruction to its end: a state machine without clock, threads or ROS.

It is told events with the time at which they happened and answers with commands. Phases: waiting for the episode's
instruction, planning (also again, in mid-task), running, growing (an open plan has come to its end, and what follows is
asked for), finished.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from substep_core.chunk import ChunkOutcome
from substep_core.errors import ErrorCode
from substep_core.plan import MAX_SUBSTEPS, Plan, Substep
from substep_core.protocol import Cause, Reason, TaskEvent
from substep_planner.decomposers.base import SourcedPlan
from substep_planner.manager.episode_watch import EpisodeWatch
from substep_planner.manager.events import (
    UNKNOWN,
    Activate,
    AnotherPlan,
    AnswerRevision,
    ChunkAnnounced,
    ChunkPlayed,
    Command,
    Deactivate,
    EpisodeProgress,
    Event,
    Finish,
    FrameScored,
    MakePlan,
    MakeRevision,
    PlanFailed,
    PlanMade,
    PolicyRefused,
    ReviseTask,
    RevisionAnswer,
    RevisionFailed,
    RevisionMade,
    Stopped,
    TaskFeedback,
)
from substep_planner.manager.grasp_watch import FingerLimits, GraspWatch
from substep_planner.manager.plan_progress import PlanProgress
from substep_planner.manager.recovery import Remedy
from substep_planner.manager.settings import ManagerSettings
from substep_planner.manager.switch_rules import STAY, Decision, SwitchRule, Verdict
from substep_planner.manager.watchdogs import SilenceWatch
from substep_planner.revision import Running, says_stop, task_text

NO_CAUSE = Reason(Cause.NONE)
FAILED_IN_THE_WORLD = ErrorCode.SUBSTEP_TIMEOUT, ErrorCode.GRASP_LOST  # the arm was at it, and may be stuck


REVISED = " (revised)"


class Phase(Enum):
    WAITING = "waiting for the episode's instruction"
    PLANNING = "planning"
    RUNNING = "running"
    GROWING = "waiting for what follows in an open plan"
    FINISHED = "finished"


class SubstepManager:
    """One task. Call ``start`` once, then ``handle`` for every event until a ``Finish`` comes.

    Args:
        rule: decides when a substep is over; used by this task alone.
        task: the instruction; empty: the episode's own.
        task_id: tells this task's plans from others'.
        episode: what is known of the episode so far.
        now: monotonic time in s, here and in ``handle``.
        fingers: the robot's.
    """

    def __init__(
        self,
        settings: ManagerSettings,
        rule: SwitchRule,
        task: str,
        task_id: str,
        episode: EpisodeProgress | None,
        now: float,
        fingers: FingerLimits,
    ) -> None:
        self._settings = settings
        self._rule = rule
        width = settings.empty_width
        self._grasp = GraspWatch(fingers if width is None else replace(fingers, empty=width))
        self._task = task
        self._own_instruction = task == ""  # the episode's, which may still change with a reset
        self._task_id = task_id
        self._progress = PlanProgress(task_id)
        self._known = episode
        self._watch = EpisodeWatch(episode, self._own_instruction, now)
        self._silence = SilenceWatch(settings.silence, now)
        self._phase = Phase.WAITING
        self._since = now  # when the phase began
        self._request: MakePlan | None = None
        self._asked: ReviseTask | None = None  # words that are being understood
        self._revision: MakeRevision | None = None
        self._failure: tuple[ErrorCode, str] | None = None  # of the plan that another one replaces
        self._replans = 0
        self._left: Reason[Cause] = NO_CAUSE  # why the last substep of an open plan was left
        self._back_off = False  # the substep, or what came after it, has failed
        self._started_at: int | None = None  # step at which the substep began
        self._eos_probability = self._similarity = UNKNOWN

    @property
    def phase(self) -> Phase:
        return self._phase

    def start(self, now: float) -> list[Command]:
        """Begin. The first command asks for a plan, or finishes."""
        if self._task:
            return self._plan_task(self._task, now)
        if self._watch.known:
            return self._plan_task(self._known.instruction, now)
        return []

    def handle(self, event: Event, now: float) -> list[Command]:
        """What to do about an event. Nothing comes after ``Finish``."""
        if self._phase is Phase.FINISHED:
            return []
        if isinstance(event, Stopped):
            return self._finish(event.code, event.message)
        if isinstance(event, AnotherPlan):
            return self._on_another_plan(event)
        commands = self._dispatch(event, now)
        if self._phase is not Phase.FINISHED:
            commands += self._check(now)
        return commands

    def _dispatch(self, event: Event, now: float) -> list[Command]:
        if isinstance(event, EpisodeProgress):
            return self._on_progress(event, now)
        if isinstance(event, PlanMade):
            return self._on_plan(event, now) if event.request is self._request else []
        if isinstance(event, PlanFailed):
            return self._on_no_plan(event) if event.request is self._request else []
        if isinstance(event, ReviseTask):
            return self._on_words(event)
        if isinstance(event, (RevisionMade, RevisionFailed)):
            return self._on_understood(event, now) if event.request is self._revision else []
        if self._phase is not Phase.RUNNING:
            return []
        if isinstance(event, (ChunkAnnounced, ChunkPlayed)):
            return self._on_chunk(event, now)
        if isinstance(event, FrameScored):
            return self._on_frame(event, now)
        if isinstance(event, PolicyRefused) and event.key == self._progress.key:
            return self._on_refusal(event, now)
        return []

    # --- the world ---

    def _on_progress(self, event: EpisodeProgress, now: float) -> list[Command]:
        self._known = event
        self._silence.hear_bridge(now)
        self._watch.update(event, now)
        if not self._watch.known:
            return []
        if self._own_instruction and not self._watch.played and event.instruction != self._task:
            return self._hold() + self._plan_task(event.instruction, now)
        if self._started_at is None or self._watch.step < self._started_at:
            self._started_at = self._watch.step
        return []

    def _check(self, now: float) -> list[Command]:
        """What time and the world's verdict lead to, whatever the event was."""
        if self._watch.succeeded(now):
            return self._finish(ErrorCode.NONE, "the world says that the goal holds")
        if (over := self._watch.over(now)) is not None:
            return self._finish(*over)
        if self._phase in (Phase.PLANNING, Phase.GROWING):
            return self._check_planning(now)
        if silent := self._silence.verdict(now):
            return self._finish(*silent)
        if self._phase is Phase.WAITING:
            return []
        commands = self._follow(self._rule.on_time(now), now)
        if not commands and self._steps >= self._settings.substep_timeout:
            failure = f"no end of {self._progress.place} after {self._steps} steps"
            cause = Reason(Cause.TIMEOUT)
            commands = self._recover(ErrorCode.SUBSTEP_TIMEOUT, failure, cause, self._progress.retries, now)
        return commands

    def _check_planning(self, now: float) -> list[Command]:
        limit = self._settings.planning_timeout
        if now - self._since <= limit:
            return []
        told = self._report_left()
        return told + self._finish(*(self._failure or (ErrorCode.BACKEND_FAILED, f"no plan within {limit:g} s")))

    # --- plans ---

    def _plan_task(self, instruction: str, now: float) -> list[Command]:
        if not instruction.strip():
            whose = "the episode's own instruction" if self._own_instruction else "the task"
            return self._finish(ErrorCode.EMPTY_INSTRUCTION, f"{whose} is empty: {instruction!r}")
        self._task = instruction
        self._progress.done.clear()
        return self._ask_for_plan(Phase.PLANNING, now)

    def _ask_for_plan(self, phase: Phase, now: float) -> list[Command]:
        suite = self._known.suite if self._known is not None else ""
        failure = None if self._failure is None else self._failure[1]
        self._request = MakePlan(self._task, suite, tuple(self._progress.done), failure)
        self._phase, self._since = phase, now
        return [self._request]

    def _on_plan(self, event: PlanMade, now: float) -> list[Command]:
        sourced, is_growing = event.sourced, self._phase is Phase.GROWING
        if sourced.plan is None:
            return self._on_nothing_left(sourced)
        event = TaskEvent.STARTED if self._failure is None else TaskEvent.REPLANNED
        back_off = self._failure is not None and self._failure[0] in FAILED_IN_THE_WORLD
        self._progress.source, self._progress.is_open = sourced.source, sourced.is_open
        self._request = self._failure = None
        self._phase, self._since = Phase.RUNNING, now
        self._silence = SilenceWatch(self._settings.silence, now)
        if is_growing:
            self._progress.grow(sourced.plan)
            return self._activate(TaskEvent.ADVANCED, self._left)
        self._progress.take_up(sourced.plan)
        self._progress.forget_retries()
        return self._activate(event, back_off=back_off)

    def _on_nothing_left(self, sourced: SourcedPlan) -> list[Command]:
        """An open plan has come to its end."""
        told = self._report_left()
        return told + self._finish(ErrorCode.NONE, f"{sourced.source} says that the task is done", plan_done=True)

    def _report_left(self) -> list[Command]:
        """That the last substep of an open plan was left, where that was not told yet."""
        return [self._report(TaskEvent.ADVANCED, self._left)] if self._phase is Phase.GROWING else []

    def _on_no_plan(self, event: PlanFailed) -> list[Command]:
        if self._phase is Phase.GROWING:
            why = f"after {len(self._progress.done)} substeps there is no next one: {event.message}"
            return self._report_left() + self._finish(event.code, why)
        if self._failure is None:
            return self._finish(event.code, event.message, clarification=event.clarification)
        code, message = self._failure
        return self._finish(code, f"{message}; there is no other plan either: {event.message}")

    def _on_another_plan(self, event: AnotherPlan) -> list[Command]:
        """Two who command one arm: whoever notices lets go."""
        whose = f"plan {event.plan_id!r}" if event.plan_id else "that nothing is to be active"
        why = f"somebody else publishes {whose} on active_substep: is there another planner in this namespace?"
        return self._finish(ErrorCode.ANOTHER_PLANNER, why)

    # --- words that change the task ---

    def _on_words(self, event: ReviseTask) -> list[Command]:
        if says_stop(event.words):
            return self._stopped(event)
        if self._phase is not Phase.RUNNING or self._progress.is_open:
            whose = "it is " + self._phase.value if self._phase is not Phase.RUNNING else "its plan is the policy's own"
            return [_refused(event, ErrorCode.BUSY, f"the task cannot be changed now: {whose}")]
        if self._asked is not None:
            return [_refused(event, ErrorCode.BUSY, f"{self._asked.words!r} is still being understood")]
        self._asked = event
        return self._understand()

    def _understand(self) -> list[Command]:
        running = Running(tuple(self._progress.done), self._progress.remaining)
        self._revision = MakeRevision(self._asked.words, running)
        return [self._revision]

    def _on_understood(self, event: RevisionMade | RevisionFailed, now: float) -> list[Command]:
        running = event.request.running
        if self._phase is Phase.RUNNING and self._understood_too_late(running):
            return self._understand()
        asked, self._asked, self._revision = self._asked, None, None
        if isinstance(event, RevisionFailed):
            answer = RevisionAnswer(event.code, event.message, event.clarification, False, self._left_to_do)
            return [AnswerRevision(asked, answer)]
        if self._phase is not Phase.RUNNING:
            return [_refused(asked, ErrorCode.BUSY, f"the task cannot be changed now: it is {self._phase.value}")]
        if event.revision.is_stop:
            return self._stopped(asked)
        remaining = event.revision.remaining
        answer = RevisionAnswer(ErrorCode.NONE, event.revision.taken_as, remaining=remaining)
        return [*self._take_revision(remaining, now), AnswerRevision(asked, answer)]

    def _take_revision(self, remaining: tuple[Substep, ...], now: float) -> list[Command]:
        """The active substep goes on undisturbed where it stays the same."""
        progress = self._progress
        self._task, self._own_instruction = task_text(progress.done, remaining), False
        goes_on = remaining[0] == progress.substep
        progress.source = f"{progress.source.removesuffix(REVISED)}{REVISED}"
        if goes_on:
            progress.replace_rest(remaining)
            return self._publish(TaskEvent.REVISED, NO_CAUSE)
        progress.take_up(Plan(self._task, remaining))
        progress.forget_retries()
        return self._activate(TaskEvent.REVISED)

    def _understood_too_late(self, running: Running) -> bool:
        """Whether the task has gone on since."""
        return (tuple(self._progress.done), self._progress.remaining) != (running.done, running.remaining)

    @property
    def _left_to_do(self) -> tuple[Substep, ...]:
        return self._progress.remaining if self._phase is Phase.RUNNING else ()

    def _stopped(self, asked: ReviseTask) -> list[Command]:
        why = f"stopped by {asked.words!r}"
        answer = AnswerRevision(asked, RevisionAnswer(ErrorCode.NONE, "the task ends", stopped=True))
        return [answer, *self._finish(ErrorCode.CANCELED, why)]

    # --- substeps ---

    @property
    def _steps(self) -> int:
        return 0 if self._started_at is None else self._watch.step - self._started_at

    def _activate(
        self, event: TaskEvent, cause: Reason[Cause] = NO_CAUSE, attempt: int = 0, back_off: bool = False
    ) -> list[Command]:
        """Publish the substep anew, from its beginning."""
        self._progress.attempt, self._back_off = attempt, back_off
        self._started_at = self._watch.step if self._watch.known else None
        self._eos_probability = self._similarity = UNKNOWN
        self._rule.begin()
        self._grasp.begin(self._progress.done, self._progress.remaining)
        return self._publish(event, cause)

    def _publish(self, event: TaskEvent, cause: Reason[Cause]) -> list[Command]:
        plan = self._progress.plan.substeps
        return [Activate(self._progress.key, plan, self._task, self._back_off), self._report(event, cause)]

    def _report(self, event: TaskEvent = TaskEvent.NONE, cause: Reason[Cause] = NO_CAUSE) -> TaskFeedback:
        progress, figures = self._progress, (self._steps, self._eos_probability, self._similarity)
        plan = progress.plan.substeps
        return TaskFeedback(progress.key, len(progress.done), plan, progress.source, *figures, event, cause)

    def _on_chunk(self, event: ChunkAnnounced | ChunkPlayed, now: float) -> list[Command]:
        if isinstance(event, ChunkPlayed) and event.latched and event.key.task_id == self._task_id:
            return self._finish(ErrorCode.GUARD_LATCHED, f"the safety guard holds the arm: {event.reason}")
        if event.key.plan_id != self._progress.key.plan_id:
            return []
        self._silence.hear_policy(now)
        if isinstance(event, ChunkAnnounced):
            if event.key == self._progress.key:
                self._rule.on_chunk(event.eos)
            return []
        self._silence.hear_bridge(now)
        if event.outcome is not ChunkOutcome.REJECTED:
            self._watch.chunk_played()
        return self._on_report(event, now) if event.key == self._progress.key else []

    def _on_report(self, event: ChunkPlayed, now: float) -> list[Command]:
        self._eos_probability = event.eos_probability
        self._rule.on_chunk(False)
        is_end = event.outcome is ChunkOutcome.PLAYED_EOS
        was_played = is_end or event.outcome is ChunkOutcome.PLAYED
        grasp = self._grasp.verdict(event.fingers, is_end) if was_played else STAY
        if grasp.verdict is Verdict.RETRY:
            return self._on_lost_grasp(grasp.reason, now)
        if grasp.verdict is Verdict.REISSUE:
            return self._follow(grasp, now)
        if is_end:
            decision = self._rule.on_eos(event.stamp, self._watch.step, now)
            return self._follow(decision, now) or [self._report(TaskEvent.EOS_PLAYED)]
        if event.outcome is ChunkOutcome.REJECTED:
            return [self._report(TaskEvent.CHUNK_REJECTED, Reason(Cause.GUARD, event.reason))]
        return [self._report()]

    def _on_frame(self, event: FrameScored, now: float) -> list[Command]:
        if (event.key.plan_id, event.key.index) != (self._progress.key.plan_id, self._progress.key.index):
            return []
        self._similarity = event.similarity
        decision = self._rule.on_frame(event, self._watch.step)
        return self._follow(decision, now) or [self._report()]

    def _follow(self, decision: Decision, now: float) -> list[Command]:
        if decision.verdict is Verdict.ADVANCE:
            return self._advance(decision.reason, now)
        if decision.verdict is Verdict.REISSUE:
            self._progress.attempt, self._back_off = self._progress.attempt + 1, False
            return self._publish(TaskEvent.REISSUED, decision.reason)
        if decision.verdict is Verdict.RETRY:
            if self._progress.retries == self._settings.recovery.retries:
                return self._advance(decision.reason, now)
            self._progress.count_retry()
            return self._retry(decision.reason)
        return []

    def _advance(self, cause: Reason[Cause], now: float) -> list[Command]:
        progress = self._progress
        progress.done.append(progress.substep)
        is_last = len(progress.remaining) == 1
        if is_last and progress.is_open:  # it stays the active one meanwhile
            self._left = cause
            return self._ask_for_plan(Phase.GROWING, now)
        if is_last:
            last = self._report(TaskEvent.ADVANCED, cause)
            end = f"all substeps are done; the last by {cause.text}"
            return [last, *self._finish(ErrorCode.NONE, end, plan_done=True)]
        progress.go_on()
        return self._activate(TaskEvent.ADVANCED, cause)

    # --- failures ---

    def _on_refusal(self, event: PolicyRefused, now: float) -> list[Command]:
        failure = f"the policy gives no chunk for {self._progress.substep.instruction!r}: {event.reason.detail}"
        never_retry = self._settings.recovery.retries
        return self._recover(ErrorCode.POLICY_FAILED, failure, Reason(Cause.POLICY_REFUSED), never_retry, now)

    def _on_lost_grasp(self, cause: Reason[Cause], now: float) -> list[Command]:
        failure = f"{self._progress.place}: {cause.text}"
        return self._recover(ErrorCode.GRASP_LOST, failure, cause, self._progress.retries, now)

    def _recover(self, code: ErrorCode, failure: str, cause: Reason[Cause], retries: int, now: float) -> list[Command]:
        remedy = self._settings.recovery.remedy(retries, self._replans)
        if remedy is Remedy.RETRY:
            self._progress.count_retry()
            return self._retry(cause)
        if remedy is Remedy.REPLAN:
            report = self._report(TaskEvent.REPLANNING, cause)
            self._replans += 1
            if code in FAILED_IN_THE_WORLD and self._progress.needs_pick_up:
                self._progress.done.pop()
            self._failure = (code, failure)
            return [report, Deactivate(), *self._ask_for_plan(Phase.PLANNING, now)]
        return self._finish(code, failure)

    def _retry(self, cause: Reason[Cause]) -> list[Command]:
        """The substep again, from the pick up before it if there is one."""
        progress = self._progress
        if not progress.needs_pick_up or len(progress.remaining) == MAX_SUBSTEPS:
            return self._activate(TaskEvent.RETRIED, cause, progress.attempt + 1, back_off=True)
        progress.go_back()
        return self._activate(TaskEvent.RETRIED_FROM_PICK_UP, cause, back_off=True)

    def _finish(self, code: ErrorCode, message: str, plan_done: bool = False, clarification: str = "") -> list[Command]:
        hold = self._hold(plan_done)
        if self._asked is not None:
            hold.append(_refused(self._asked, ErrorCode.NO_PLAN, f"the task ended meanwhile: {message}"))
            self._asked = None
        self._phase = Phase.FINISHED
        progress = self._progress
        return [*hold, Finish(code, message, progress.source, len(progress.done), progress.total, clarification)]

    def _hold(self, plan_done: bool = False) -> list[Command]:
        """Make nothing active, if something is."""
        return [Deactivate(plan_done)] if self._phase in (Phase.RUNNING, Phase.GROWING) else []


def _refused(asked: ReviseTask, code: ErrorCode, why: str) -> AnswerRevision:
    return AnswerRevision(asked, RevisionAnswer(code, why))

"""Brings one task from its instruction to its end: a state machine without clock, threads or ROS.

It is told events with the time at which they happened and answers with commands. Phases: waiting for the episode's
instruction, planning (also again, in mid-task), running, finished.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from substep_planner.decomposers.base import SourcedPlan
from substep_planner.episode_watch import EpisodeWatch
from substep_planner.errors import ErrorCode
from substep_planner.grasp_watch import EMPTY_WIDTH, GraspWatch
from substep_planner.plan import MAX_SUBSTEPS, Plan, Substep
from substep_planner.recovery import RecoveryLadder, Remedy, needs_what_was_picked_up
from substep_planner.switch_rules import STAY, Decision, SwitchRule, Verdict
from substep_planner.task_events import (
    ADVANCED,
    RETRY,
    UNKNOWN,
    Activate,
    ChunkAnnounced,
    ChunkPlayed,
    Command,
    EpisodeProgress,
    Event,
    Finish,
    FrameScored,
    Hold,
    MakePlan,
    Outcome,
    PlanFailed,
    PlanMade,
    PolicyRefused,
    Report,
    Stopped,
)
from substep_planner.watchdogs import SilenceLimits, SilenceWatch
from substep_policy.request_desk import SubstepKey

FAILED_IN_THE_WORLD = ErrorCode.SUBSTEP_TIMEOUT, ErrorCode.GRASP_LOST  # the arm was at it, and may be stuck


@dataclass(frozen=True)
class ManagerSettings:
    """Limits of a task.

    Attributes:
        substep_timeout: control steps after which a substep is not waited for any more.
        planning_timeout: s of wall time that the decomposers may take together.
        silence: of the other nodes.
        recovery: what a substep that failed leads to.
        empty_width: m, fingers nearer to each other hold nothing, and the substep has failed; 0: nobody looks.
    """

    substep_timeout: int = 200
    planning_timeout: float = 120.0
    silence: SilenceLimits = field(default_factory=SilenceLimits)
    recovery: RecoveryLadder = field(default_factory=RecoveryLadder)
    empty_width: float = EMPTY_WIDTH

    def __post_init__(self) -> None:
        if self.substep_timeout < 1:
            raise ValueError(f"substep_timeout is {self.substep_timeout}, expected at least 1 control step")
        if not self.planning_timeout > 0:
            raise ValueError(f"planning_timeout is {self.planning_timeout} s, expected more than 0")
        if not self.empty_width >= 0:
            raise ValueError(f"empty_width is {self.empty_width} m, expected 0 or more")


class Phase(Enum):
    WAITING = "waiting for the episode's instruction"
    PLANNING = "planning"
    RUNNING = "running"
    FINISHED = "finished"


class SubstepManager:
    """One task. Call ``start`` once, then ``handle`` for every event until a ``Finish`` comes.

    Args:
        rule: decides when a substep is over; used by this task alone.
        task: the instruction; empty: the episode's own.
        task_id: tells this task's plans from others'.
        episode: what is known of the episode so far.
        now: monotonic time in s, here and in ``handle``.
    """

    def __init__(
        self,
        settings: ManagerSettings,
        rule: SwitchRule,
        task: str,
        task_id: str,
        episode: EpisodeProgress | None,
        now: float,
    ) -> None:
        self._settings = settings
        self._rule = rule
        self._grasp = GraspWatch(settings.empty_width)
        self._task = task
        self._own_instruction = task == ""  # the episode's, which may still change with a reset
        self._task_id = task_id
        self._known = episode
        self._watch = EpisodeWatch(episode, now)
        self._silence = SilenceWatch(settings.silence, now)
        self._phase = Phase.WAITING
        self._since = now  # when the phase began
        self._request: MakePlan | None = None
        self._trouble: tuple[ErrorCode, str] | None = None  # what replanning is to mend
        self._done: list[Substep] = []
        self._done_before = 0  # by earlier plans
        self._replans = 0
        self._plan: Plan | None = None
        self._plans = 0  # made so far
        self._plan_id = ""
        self._source = ""
        self._index = self._attempt = 0
        self._retries: Counter[int] = Counter()  # of the task's first, second, … substep, under this plan
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
        if self._phase is not Phase.RUNNING:
            return []
        if isinstance(event, (ChunkAnnounced, ChunkPlayed)):
            return self._on_chunk(event, now)
        if isinstance(event, FrameScored):
            return self._on_frame(event, now)
        if isinstance(event, PolicyRefused) and event.key == self._key:
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
            hold = [Hold()] if self._phase is Phase.RUNNING else []
            return hold + self._plan_task(event.instruction, now)
        if self._started_at is None or self._watch.step < self._started_at:
            self._started_at = self._watch.step
        return []

    def _check(self, now: float) -> list[Command]:
        """What time and the world's verdict lead to, whatever the event was."""
        if self._watch.success:
            return self._finish(ErrorCode.NONE, "the world says that the goal holds")
        if over := self._watch.over(now):
            return self._finish(ErrorCode.EPISODE_ENDED, over)
        if self._phase is Phase.PLANNING:
            return self._check_planning(now)
        if silent := self._silence.verdict(now):
            return self._finish(*silent)
        if self._phase is Phase.WAITING:
            return []
        commands = self._follow(self._rule.on_time(now), now)
        if not commands and self._steps >= self._settings.substep_timeout:
            trouble = f"no end of substep {self._key.index} ({self._substep.instruction!r}) after {self._steps} steps"
            retries = self._retries[len(self._done)]
            commands = self._recover(ErrorCode.SUBSTEP_TIMEOUT, trouble, "timeout", retries, now)
        return commands

    def _check_planning(self, now: float) -> list[Command]:
        limit = self._settings.planning_timeout
        if now - self._since <= limit:
            return []
        return self._finish(*(self._trouble or (ErrorCode.BACKEND_FAILED, f"no plan within {limit:g} s")))

    # --- plans ---

    def _plan_task(self, instruction: str, now: float) -> list[Command]:
        if not instruction.strip():
            whose = "the episode's own instruction" if self._own_instruction else "the task"
            return self._finish(ErrorCode.EMPTY_INSTRUCTION, f"{whose} is empty: {instruction!r}")
        self._task = instruction
        self._done = []
        return self._ask_for_plan(now)

    def _ask_for_plan(self, now: float) -> list[Command]:
        suite = self._known.suite if self._known is not None else ""
        trouble = "" if self._trouble is None else self._trouble[1]
        self._request = MakePlan(self._task, suite, tuple(self._done), trouble)
        self._phase, self._since = Phase.PLANNING, now
        return [self._request]

    def _on_plan(self, event: PlanMade, now: float) -> list[Command]:
        sourced: SourcedPlan = event.sourced
        event = "started" if self._trouble is None else f"replanned by {sourced.source}"
        back_off = self._trouble is not None and self._trouble[0] in FAILED_IN_THE_WORLD
        self._source = sourced.source
        self._take_up(sourced.plan)
        self._request = self._trouble = None
        self._phase, self._since = Phase.RUNNING, now
        self._retries.clear()
        self._silence = SilenceWatch(self._settings.silence, now)
        return self._activate(event, back_off=back_off)

    def _take_up(self, plan: Plan) -> None:
        """A plan of what remains, under a name of its own."""
        self._plan, self._index = plan, 0
        self._plan_id = f"{self._task_id}.{self._plans}" if self._plans else self._task_id
        self._plans += 1
        self._done_before = len(self._done)

    def _is_own(self, plan_id: str) -> bool:
        """Whether it is one of this task's plans."""
        return plan_id.partition(".")[0] == self._task_id.partition(".")[0]

    def _on_no_plan(self, event: PlanFailed) -> list[Command]:
        if self._trouble is None:
            return self._finish(event.code, event.message)
        code, message = self._trouble
        return self._finish(code, f"{message}; there is no other plan either: {event.message}")

    # --- substeps ---

    @property
    def _key(self) -> SubstepKey:
        return SubstepKey(self._plan_id, self._index, self._attempt)

    @property
    def _substep(self) -> Substep:
        return self._plan.substeps[self._index]

    @property
    def _steps(self) -> int:
        return 0 if self._started_at is None else self._watch.step - self._started_at

    def _activate(self, event: str, attempt: int = 0, back_off: bool = False) -> list[Command]:
        """Publish the substep anew, from its beginning."""
        self._attempt, self._back_off = attempt, back_off
        self._started_at = self._watch.step if self._watch.known else None
        self._eos_probability = self._similarity = UNKNOWN
        self._rule.begin()
        self._grasp.begin(self._done, self._plan.substeps[self._index :])
        return self._publish(event)

    def _publish(self, event: str) -> list[Command]:
        return [Activate(self._key, self._plan.substeps, self._task, self._back_off), self._report(event)]

    def _report(self, event: str = "") -> Report:
        figures = self._steps, self._eos_probability, self._similarity
        return Report(self._key, len(self._done), self._plan.substeps, self._source, *figures, event)

    def _on_chunk(self, event: ChunkAnnounced | ChunkPlayed, now: float) -> list[Command]:
        if isinstance(event, ChunkPlayed) and event.latched and self._is_own(event.key.plan_id):
            return self._finish(ErrorCode.GUARD_LATCHED, f"the safety guard holds the arm: {event.reason}")
        if event.key.plan_id != self._key.plan_id:
            return []
        self._silence.hear_policy(now)
        if isinstance(event, ChunkAnnounced):
            if event.key == self._key:
                self._rule.on_chunk(event.eos)
            return []
        self._silence.hear_bridge(now)
        if event.outcome is not Outcome.REJECTED:
            self._watch.chunk_played()
        return self._on_report(event, now) if event.key == self._key else []

    def _on_report(self, event: ChunkPlayed, now: float) -> list[Command]:
        self._eos_probability = event.eos_probability
        self._rule.on_chunk(False)
        is_end = event.outcome is Outcome.PLAYED_EOS
        was_played = is_end or event.outcome is Outcome.PLAYED
        grasp = self._grasp.verdict(event.fingers, is_end) if was_played else STAY
        if grasp.verdict is Verdict.RETRY:
            return self._on_lost_grasp(grasp.reason, now)
        if grasp.verdict is Verdict.REISSUE:
            return self._follow(grasp, now)
        if is_end:
            decision = self._rule.on_eos(event.stamp, self._watch.step, now)
            return self._follow(decision, now) or [self._report("eos")]
        return [self._report(f"chunk rejected: {event.reason}" if event.outcome is Outcome.REJECTED else "")]

    def _on_frame(self, event: FrameScored, now: float) -> list[Command]:
        if (event.key.plan_id, event.key.index) != (self._key.plan_id, self._key.index):
            return []
        self._similarity = event.similarity
        decision = self._rule.on_frame(event, self._watch.step)
        return self._follow(decision, now) or [self._report()]

    def _follow(self, decision: Decision, now: float) -> list[Command]:
        if decision.verdict is Verdict.ADVANCE:
            return self._advance(decision.reason)
        if decision.verdict is Verdict.REISSUE:
            self._attempt, self._back_off = self._attempt + 1, False
            return self._publish(f"issued again: {decision.reason}")
        if decision.verdict is Verdict.RETRY:
            place = len(self._done)
            if self._retries[place] == self._settings.recovery.retries:
                return self._advance(f"{decision.reason}, and no retry left")
            self._retries[place] += 1
            return self._retry(decision.reason)
        return []

    def _advance(self, reason: str) -> list[Command]:
        self._done.append(self._substep)
        if self._index + 1 == len(self._plan.substeps):
            last = self._report(f"{ADVANCED}{reason}")
            return [last, *self._finish(ErrorCode.NONE, f"all substeps are done; the last by {reason}", plan_done=True)]
        self._index += 1
        return self._activate(f"{ADVANCED}{reason}")

    # --- trouble ---

    def _on_refusal(self, event: PolicyRefused, now: float) -> list[Command]:
        trouble = f"the policy gives no chunk for {self._substep.instruction!r}: {event.reason}"
        never_retry = self._settings.recovery.retries
        return self._recover(ErrorCode.POLICY_FAILED, trouble, "refused by the policy", never_retry, now)

    def _on_lost_grasp(self, why: str, now: float) -> list[Command]:
        trouble = f"substep {self._key.index} ({self._substep.instruction!r}): {why}"
        return self._recover(ErrorCode.GRASP_LOST, trouble, why, self._retries[len(self._done)], now)

    def _recover(self, code: ErrorCode, trouble: str, event: str, retries: int, now: float) -> list[Command]:
        remedy = self._settings.recovery.remedy(retries, self._replans)
        if remedy is Remedy.RETRY:
            self._retries[len(self._done)] += 1
            return self._retry(event)
        if remedy is Remedy.REPLAN:
            report = self._report(f"replanning: {event}")
            self._replans += 1
            if code in FAILED_IN_THE_WORLD and needs_what_was_picked_up(self._done, self._substep):
                self._done.pop()
            self._trouble = (code, trouble)
            return [report, Hold(), *self._ask_for_plan(now)]
        return self._finish(code, trouble)

    def _retry(self, event: str) -> list[Command]:
        """The substep again, from the pick up before it if there is one."""
        remaining = self._plan.substeps[self._index :]
        if not needs_what_was_picked_up(self._done, self._substep) or len(remaining) == MAX_SUBSTEPS:
            return self._activate(f"{RETRY}: {event}", self._attempt + 1, back_off=True)
        self._take_up(Plan(self._plan.instruction, (self._done.pop(), *remaining)))
        return self._activate(f"{RETRY} from picking up: {event}", back_off=True)

    def _finish(self, code: ErrorCode, message: str, plan_done: bool = False) -> list[Command]:
        hold = [Hold(plan_done)] if self._phase is Phase.RUNNING else []
        self._phase = Phase.FINISHED
        total = self._done_before + (len(self._plan.substeps) if self._plan is not None else 0)
        return [*hold, Finish(code, message, self._source, len(self._done), total)]

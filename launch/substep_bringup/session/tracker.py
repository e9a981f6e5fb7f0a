"""Follows a run by the messages of planner, policy and bridge; feeds display and summary."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActionChunk, ChunkReport, EpisodeStatus

from substep_core.chunk import ChunkOutcome
from substep_core.protocol import Cause, ChunkReason, SubstepEnd, TaskEvent

CONCLUDING = (ChunkOutcome.PLAYED_EOS, ChunkOutcome.SUPERSEDED)
NOT_KNOWN = -1.0


@dataclass
class SubstepRecord:
    """One substep of one plan.

    Attributes:
        place: in the whole task, how many substeps come before it.
        attempts: how often it was issued.
        steps: control steps of the chunks that were played for it.
        advanced: it was left as done.
        ended: why it was left: the words of the advance's cause ("eos", "vision", …), a ``SubstepEnd``, or how the task
            ended; "" while it is active.
        undone: it was done, and then begun again because what came after it failed.
    """

    plan_id: str
    index: int
    place: int
    instruction: str
    expected_effect: str
    attempts: int = 1
    steps: int = 0
    advanced: bool = False
    ended: str = ""
    undone: bool = False

    @property
    def is_done(self) -> bool:
        return self.advanced and not self.undone


@dataclass(frozen=True)
class Event:
    """Something the planner announced: at which control step of the episode, on which substep.

    Attributes:
        event, cause: in words, as in "advanced" and "eos".
        text: for people, with details.
    """

    step: int
    substep: int
    event: str
    cause: str
    text: str


@dataclass(frozen=True)
class Progress:
    """Where the run stands, for one line of text.

    Attributes:
        index, count: of the active substep; count is 0 before there is a plan.
        substep_steps, episode_steps: control steps so far.
        eos_probability: the largest of the newest chunk; ``NOT_KNOWN`` without.
        steps_per_second: control steps per second of wall time; 0 before it can be known.
        hold_reason: why the arm holds; "" while it moves.
    """

    index: int = 0
    count: int = 0
    instruction: str = ""
    substep_steps: int = 0
    episode_steps: int = 0
    eos_probability: float = NOT_KNOWN
    steps_per_second: float = 0.0
    success: bool = False
    hold_reason: str = ""


def eos_text(progress: Progress) -> str:
    """For people: a probability, or a dash."""
    return "-" if progress.eos_probability == NOT_KNOWN else f"{progress.eos_probability:.2f}"


@dataclass(frozen=True)
class History:
    """Everything that goes into the summary; copies, so that they stand still.

    Attributes:
        inference_times: s, one for each chunk that reached the bridge.
        chunks: outcome -> number.
        rejections: check that failed, in words -> number.
        wall_time: s from the first to the last control step.
    """

    status: EpisodeStatus | None
    plan_source: str
    substeps: tuple[SubstepRecord, ...]
    events: tuple[Event, ...]
    inference_times: tuple[float, ...]
    chunks: dict[str, int]
    rejections: dict[str, int]
    model: str
    wall_time: float
    steps_per_second: float


@dataclass
class _Pace:
    """Control steps against the wall clock, within one episode."""

    episode: int = -1
    first: tuple[int, float] = (0, 0.0)
    last: tuple[int, float] = (0, 0.0)

    def update(self, episode: int, step: int, now: float) -> None:
        if episode != self.episode:
            self.episode, self.first = episode, (step, now)
            self.last = self.first
        elif step == self.first[0]:
            self.first = self.last = (step, now)  # the world has not moved yet: waiting does not count
        elif step > self.last[0]:
            self.last = (step, now)

    @property
    def wall_time(self) -> float:
        return self.last[1] - self.first[1]

    @property
    def rate(self) -> float:
        return (self.last[0] - self.first[0]) / self.wall_time if self.wall_time > 0 else 0.0


@dataclass
class _Counts:
    inference_times: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    rejections: Counter[str] = field(default_factory=Counter)
    steps: Counter[tuple[str, int]] = field(default_factory=Counter)  # (plan, substep) -> control steps
    concluded: set[tuple[str, int]] = field(default_factory=set)  # (plan, substep) after whose chunk no other came


class RunTracker:
    """Follows one run. Messages come in one thread, questions from another.

    Args:
        clock: monotonic wall time in s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._status: EpisodeStatus | None = None
        self._records: dict[tuple[str, int], SubstepRecord] = {}
        self._active: SubstepRecord | None = None
        self._active_since = 0
        self._ended: list[SubstepRecord] = []
        self._is_finished = False
        self._count = 0
        self._plan_source = ""
        self._events: list[Event] = []
        self._eos_probability = NOT_KNOWN
        self._model = ""
        self._pace = _Pace()
        self._counts = _Counts()

    def hear_status(self, status: EpisodeStatus) -> None:
        with self._lock:
            self._status = status
            self._pace.update(status.episode, status.step, self._clock())

    def hear_chunk(self, chunk: ActionChunk) -> None:
        with self._lock:
            self._model = chunk.model
            certain = 1.0 if chunk.eos_index >= 0 else NOT_KNOWN  # a policy without an EOS head still ends substeps
            self._eos_probability = max(chunk.eos_probabilities, default=certain)

    def hear_report(self, report: ChunkReport) -> None:
        with self._lock:
            self._counts.outcomes[ChunkOutcome(report.outcome).name.lower()] += 1
            self._counts.inference_times.append(report.inference_time)
            key = (report.plan_id, report.substep_index)
            self._counts.steps[key] += report.steps_played
            if report.outcome in CONCLUDING:
                self._counts.concluded.add(key)
            else:
                self._counts.concluded.discard(key)  # it was issued again
            if report.outcome == ChunkOutcome.REJECTED:
                self._counts.rejections[ChunkReason(report.reason_kind).words] += 1

    def hear_feedback(self, feedback: ExecuteTask.Feedback) -> None:
        """The planner's word is what counts for substeps. ADVANCED comes with the next one, except at the end."""
        with self._lock:
            key = (feedback.plan_id, feedback.substep_index)
            event, cause = TaskEvent(feedback.event), Cause(feedback.cause)
            if event is not TaskEvent.NONE:
                words = event.words, cause.words, feedback.event_text
                self._events.append(Event(self._step, feedback.substep_index, *words))
            is_new = key not in self._records
            if event is TaskEvent.ADVANCED and self._active is not None:
                self._leave(cause.words, advanced=True)
            if is_new:
                self._enter(feedback, event)
            self._records[key].attempts = feedback.attempt + 1

    def finish(self, ended: str) -> None:
        """The run is over; ``ended`` is why the active substep, if any, was left."""
        with self._lock:
            if self._active is not None:
                self._leave(ended)
            self._is_finished = True

    def progress(self) -> Progress:
        with self._lock:
            status = self._status or EpisodeStatus()
            common = Progress(
                count=self._count,
                episode_steps=status.step,
                eos_probability=self._eos_probability,
                steps_per_second=self._pace.rate,
                success=status.success,
                hold_reason=status.hold_reason,
            )
            if self._active is None:
                return common
            return replace(
                common,
                index=self._active.index,
                instruction=self._active.instruction,
                substep_steps=max(0, status.step - self._active_since),
            )

    def history(self) -> History:
        with self._lock:
            return History(
                status=self._status,
                plan_source=self._plan_source,
                substeps=tuple(self._counted(record) for record in self._records.values()),
                events=tuple(self._events),
                inference_times=tuple(self._counts.inference_times),
                chunks=dict(self._counts.outcomes),
                rejections=dict(self._counts.rejections),
                model=self._model,
                wall_time=self._pace.wall_time,
                steps_per_second=self._pace.rate,
            )

    def take_ended(self) -> list[SubstepRecord]:
        """Substeps that have ended since the last call, once all of their steps are reported or the run is over."""
        with self._lock:
            ready = [record for record in self._ended if self._is_finished or self._is_concluded(record)]
            self._ended = [record for record in self._ended if record not in ready]
            return [self._counted(record) for record in ready]

    @property
    def status(self) -> EpisodeStatus | None:
        """The newest word on the episode."""
        with self._lock:
            return self._status

    def is_settled(self) -> bool:
        """No report of a chunk that was played is still to come."""
        with self._lock:
            all_reported = self._step <= sum(self._counts.steps.values())
            return self._active is None or all_reported or self._is_concluded(self._active)

    def has_heard(self, completed: int, total: int) -> bool:
        """Feedback has come as far as a result's counts of substeps: the result may overtake it."""
        with self._lock:
            done = sum(record.is_done for record in self._records.values())
            return done + (self._active is not None) >= min(completed + 1, total)

    @property
    def _step(self) -> int:
        return self._status.step if self._status is not None else 0

    def _enter(self, feedback: ExecuteTask.Feedback, event: TaskEvent) -> None:
        if self._active is not None:
            is_retry = event is TaskEvent.RETRIED_FROM_PICK_UP
            self._leave(SubstepEnd.TRIED_AGAIN if is_retry else SubstepEnd.REPLANNED)
        step = feedback.plan[feedback.substep_index]
        for record in self._records.values():
            record.undone |= record.is_done and record.place >= feedback.substeps_done
        key = feedback.plan_id, feedback.substep_index
        record = SubstepRecord(*key, feedback.substeps_done, step.instruction, step.expected_effect)
        self._records[key] = record
        self._active, self._active_since = record, self._step
        self._count, self._plan_source = len(feedback.plan), feedback.plan_source
        self._eos_probability = NOT_KNOWN

    def _leave(self, ended: str, advanced: bool = False) -> None:
        self._active.ended, self._active.advanced = ended, advanced
        self._ended.append(self._active)
        self._active = None

    def _is_concluded(self, record: SubstepRecord) -> bool:
        return (record.plan_id, record.index) in self._counts.concluded

    def _counted(self, record: SubstepRecord) -> SubstepRecord:
        """A copy with the control steps that were reported for it."""
        return replace(record, steps=self._counts.steps[record.plan_id, record.index])

"""Asks for chunks, guards, plays and reports them. Knows substeps and episodes, but neither ROS nor the world."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from substep_bridge.action_queue import ActionQueue
from substep_bridge.chunk_checks import Situation
from substep_bridge.guard import SafetyGuard
from substep_bridge.moment import FINE, Moment
from substep_core.chunk import Chunk, ChunkOutcome
from substep_core.contract import RobotContract
from substep_core.episode import EpisodeEnd
from substep_core.keys import RequestKey, SubstepKey
from substep_core.protocol import ChunkReason, HoldKind, Reason

NO_EOS_PROBABILITY = -1.0
REST_TIME = 1.0  # s after the last substep: what was just let go is still falling


@dataclass(frozen=True)
class Answer:
    """A chunk as it came in. ``chunk`` is None where it could not be read; ``malformed`` says why."""

    request: RequestKey
    chunk: Chunk | None
    eos_probability: float = NO_EOS_PROBABILITY
    inference_time: float = 0.0
    malformed: str = ""


@dataclass(frozen=True)
class ChunkReport:
    """What became of one answer."""

    answer: Answer
    outcome: ChunkOutcome
    steps_played: int = 0
    reason: Reason[ChunkReason] = FINE
    latched: bool = False


class ChunkPlayer:
    """The action queue with its rules: whose chunk is played, when the next one is asked for, when the arm holds.

    ``reset`` comes before anything else: it and ``after_step`` say where the robot is.
    """

    def __init__(self, contract: RobotContract, guard: SafetyGuard) -> None:
        self.contract, self.guard = contract, guard
        self.episode = 0
        self.outstanding: RequestKey | None = None
        self._queue = ActionQueue(contract)
        self._playing: Answer | None = None
        self._active: SubstepKey | None = None
        self._finished: SubstepKey | None = None  # ended by EOS: wait for another one
        self._asked: dict[RequestKey, bool] = {}  # requests under the active substep -> whether a chunk answered them
        self._moment: Moment | None = None
        self.over: EpisodeEnd | None = None  # why the episode has ended
        self._task = ""  # id of the newest one
        self._planner_is_silent = False
        self._hindrance: Reason[HoldKind] = Reason(HoldKind.NONE)
        self._owes_hold = False
        self._rest = 0  # hold steps until the world is at rest

    @property
    def hold(self) -> Reason[HoldKind]:
        """Why nothing is being played; ``HoldKind.NONE`` while a chunk is."""
        if len(self._queue):
            return Reason(HoldKind.NONE)
        if self.over is not None:
            return Reason(HoldKind.EPISODE_OVER, self.over)
        if self.guard.latched is not None:
            return Reason(HoldKind.LATCHED, self.guard.latched)
        if self._hindrance:
            return self._hindrance
        if self._planner_is_silent:
            return Reason(HoldKind.PLANNER_SILENT)
        if self._active is None:
            return Reason(HoldKind.COMING_TO_REST if self._rest else HoldKind.WAITING_FOR_A_SUBSTEP)
        if self._active == self._finished:
            return Reason(HoldKind.WAITING_FOR_THE_NEXT_SUBSTEP)
        return Reason(HoldKind.WAITING_FOR_A_CHUNK)

    @property
    def playing(self) -> tuple[Chunk, int] | None:
        """The chunk being played and the index of its next action; None while the arm holds."""
        return None if self._playing is None else (self._playing.chunk, self._queue.steps_played)

    @property
    def gripper(self) -> float:
        """The first gripper as last commanded: 1 closed, -1 open."""
        return self._queue.gripper

    @property
    def held_action(self) -> np.ndarray:
        """(A,) what the robot is told while nothing is played."""
        return self._queue.held_action(self._moment.proprio)

    @property
    def is_under_task(self) -> bool:
        """The next control step is one of a task, what comes to rest after it included."""
        return self.over is None and (self._active is not None or self._rest > 0)

    @property
    def may_step(self) -> bool:
        """In lockstep: there is an action to play, or a hold step that gives the policy a fresh observation or what
        was let go the time to come to rest."""
        is_to_hold = (self._owes_hold and self._can_request) or (self._rest > 0 and self.over is None)
        return bool(len(self._queue)) or is_to_hold

    @property
    def wants_request(self) -> bool:
        """The policy should be asked for a chunk about the newest observation."""
        return self._can_request and not self._owes_hold and self.outstanding is None

    @property
    def _can_request(self) -> bool:
        return self.hold.kind is HoldKind.WAITING_FOR_A_CHUNK

    def next_action(self) -> np.ndarray:
        """(A,) what the robot does in this control step."""
        self._owes_hold = False
        self._rest = max(0, self._rest - 1)
        return self._queue.next_action(self._moment.proprio)

    def after_step(self, moment: Moment, over: EpisodeEnd | None = None) -> list[ChunkReport]:
        """Call after each control step.

        Args:
            moment: the robot as measured after it; beyond a limit of its contract it holds until ``reset``.
            over: why the episode has ended with it, if it has.
        """
        self._moment = moment
        reports = self._conclude(over)
        reason = self.guard.watch(moment)
        return reports + self._stop(reason) if reason else reports

    def lose_sight(self, why: str) -> list[ChunkReport]:
        """Call in place of ``after_step`` where the robot cannot be measured: it holds until ``reset``."""
        reason = Reason(ChunkReason.NOT_FINITE, why)
        self.guard.latch(reason.text)
        return self._stop(reason)

    def _conclude(self, over: EpisodeEnd | None) -> list[ChunkReport]:
        """A chunk that was played to its end, or that the episode's end cuts short."""
        if over is not None:
            self.over, self.outstanding = over, None
        if self._playing is None:
            return []
        if len(self._queue):
            return [] if over is None else self._drop(Reason(ChunkReason.EPISODE_OVER, over))
        answer, self._playing = self._playing, None
        if not answer.chunk.has_eos:
            return [ChunkReport(answer, ChunkOutcome.PLAYED, self._queue.steps_played)]
        self._finished = answer.request.substep
        return [ChunkReport(answer, ChunkOutcome.PLAYED_EOS, self._queue.steps_played)]

    def activate(self, substep: SubstepKey | None, plan_done: bool = False) -> list[ChunkReport]:
        """The planner says what is to be executed now (None: nothing). What belongs to another substep is dropped.

        An episode whose goal has come true is over for the task that brought it about, and goes on with another one.

        Args:
            plan_done: the last substep has ended, so the world comes to rest before it holds.
        """
        self._planner_is_silent = False
        if substep == self._active:
            return []
        if substep is not None:
            if substep.task_id != self._task and self.over is EpisodeEnd.SUCCESS:
                self.over = None
            self._task = substep.task_id
        self._rest = round(REST_TIME * self.contract.rate) if plan_done else 0
        self._active, self.outstanding = substep, None
        self._asked.clear()
        return self._drop(Reason(ChunkReason.SUBSTEP_CHANGED, "" if substep else "none is active any more"))

    @property
    def heeds_planner(self) -> bool:
        """A substep is active, so that somebody must be there to end it."""
        return self._active is not None

    def lose_planner(self) -> list[ChunkReport]:
        """The planner gives no sign of life: the robot holds until it speaks again."""
        reports = self._drop(Reason(ChunkReason.PLANNER_SILENT))
        self.activate(None)
        self._planner_is_silent = True
        return reports

    def hinder(self, hindrance: Reason[HoldKind]) -> list[ChunkReport]:
        """Why the robot takes no commands now; ``HoldKind.NONE``: it does. What is under way then is dropped."""
        begins = bool(hindrance) and not self._hindrance
        self._hindrance = hindrance
        if not begins:
            return []
        self.outstanding = None
        self._asked.clear()  # what is still to come answers an observation from before
        return self._drop(Reason(ChunkReason.ROBOT_NOT_READY, hindrance.text))

    def reset(self, episode: int, moment: Moment) -> list[ChunkReport]:
        """A new episode: nothing queued, guard released. The active substep stays.

        Args:
            moment: the robot as measured; beyond a limit of its contract the guard latches again.
        """
        reports = self._drop(Reason(ChunkReason.EPISODE_RESET))
        self._moment = moment
        self.guard.reset()
        self.guard.watch(moment)
        self._queue = ActionQueue(self.contract)
        self._asked.clear()
        self.episode, self.outstanding, self._finished = episode, None, None
        self.over, self._owes_hold, self._rest = None, False, 0
        return reports

    def request(self) -> RequestKey:
        """The request to send, about the newest observation; it takes the place of the outstanding one.

        Raises:
            RuntimeError: there is no substep to ask about.
        """
        if not self._can_request:
            raise RuntimeError(f"no chunk is wanted: {self.hold.text or 'one is being played'}")
        self.outstanding = RequestKey(self._moment.stamp, self.episode, self._active)
        self._asked[self.outstanding] = False
        return self.outstanding

    def receive(self, answer: Answer) -> list[ChunkReport]:
        """A chunk has come in."""
        request = answer.request
        if request.episode != self.episode or request.substep != self._active:
            is_old = request.episode != self.episode
            stale = Reason(ChunkReason.STALE_EPISODE if is_old else ChunkReason.STALE_SUBSTEP)
            return [ChunkReport(answer, ChunkOutcome.SUPERSEDED, 0, stale)]
        if request not in self._asked:
            return [ChunkReport(answer, ChunkOutcome.SUPERSEDED, 0, Reason(ChunkReason.NOT_ASKED_FOR))]
        if self._asked[request]:
            return []  # the same answer again, to a request that was repeated
        self._asked[request] = True
        reason = self._judge(answer)
        if request == self.outstanding or not reason:
            self.outstanding = None
            self._owes_hold = bool(reason)
        if reason:
            is_latched = self.guard.latched is not None
            stopped = self._stop(Reason(ChunkReason.LATCHED, self.guard.latched)) if is_latched else []
            return [ChunkReport(answer, ChunkOutcome.REJECTED, 0, reason, is_latched), *stopped]
        reports = self._drop(Reason(ChunkReason.NEWER_CHUNK))
        self._queue.load(answer.chunk)
        self._playing = answer
        return reports

    def _judge(self, answer: Answer) -> Reason[ChunkReason]:
        """Why a chunk for the current substep is not played; ``FINE`` if it is."""
        if self.guard.latched is not None:
            return Reason(ChunkReason.LATCHED, self.guard.latched)
        if self.over is not None:
            return Reason(ChunkReason.EPISODE_OVER, self.over)
        if self._active == self._finished:
            return Reason(ChunkReason.SUBSTEP_ENDED)
        if answer.chunk is None:
            return self.guard.fail(Reason(ChunkReason.SHAPE, answer.malformed))
        commanded = self._queue.last if len(self._queue) else self.held_action
        age = (self._moment.stamp - answer.request.stamp) / 1e9
        situation = Situation(age, self._moment, commanded, self._queue.recent)
        return self.guard.check(answer.chunk.actions, situation)

    def _stop(self, reason: Reason[ChunkReason]) -> list[ChunkReport]:
        """The guard has latched: nothing is played on and nothing is waited for."""
        self.outstanding = None
        return [replace(report, latched=True) for report in self._drop(reason)]

    def _drop(self, reason: Reason[ChunkReason]) -> list[ChunkReport]:
        """Cuts short what is being played."""
        played = self._queue.drop()
        if self._playing is None:
            return []
        answer, self._playing = self._playing, None
        return [ChunkReport(answer, ChunkOutcome.SUPERSEDED, played, reason)]

"""Asks for chunks, guards, plays and reports them. Knows substeps and episodes, but neither ROS nor the world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from substep_bridge.action_queue import ActionQueue
from substep_bridge.answer import NOTHING, ChunkAnswer, ChunkReport, PlayedPart, Playing
from substep_bridge.chunk_checks import Situation
from substep_bridge.guard import SafetyGuard
from substep_bridge.joining import IN_TURN, Joining, Meeting
from substep_bridge.moment import FINE, RobotMoment
from substep_bridge.timeline import AnswerDelay, Timeline
from substep_core.chunk import Chunk, ChunkOutcome
from substep_core.chunk_timing import shortfall
from substep_core.contract import RobotContract
from substep_core.episode import EpisodeEnd
from substep_core.keys import RequestKey, SubstepKey
from substep_core.protocol import ChunkReason, HoldKind, Reason

REST_TIME = 1.0  # s after the last substep: what was just let go is still falling


class ChunkPlayer:
    """The action queue with its rules: whose chunk is played, when the next one is asked for, when the arm holds.

    ``reset`` comes before anything else: it and ``after_step`` say where the robot is.

    Args:
        joining: when the next chunk is asked for, and what is played where it meets the last one.
    """

    def __init__(self, contract: RobotContract, guard: SafetyGuard, joining: Joining = IN_TURN) -> None:
        self.contract, self.guard, self.joining = contract, guard, joining
        self.episode = 0
        self.outstanding: RequestKey | None = None
        self.shortfall = ""  # what the chunks that come cannot hide of the time that they take
        self._longest = 0  # actions of any chunk that has come
        self._queue = ActionQueue(contract)
        self._timeline = Timeline(contract.max_horizon, contract.period_ns)
        self._delay = AnswerDelay(contract.rate, joining.settings.inference_time)
        self._playing: Playing | None = None
        self._begun = 0  # ns of world time, of the first step of what is being played
        self._newest: int | None = None  # stamp of the newest observation under the active substep that was answered
        self._active: SubstepKey | None = None
        self._finished: SubstepKey | None = None  # ended by EOS: wait for another one
        self._asked: dict[RequestKey, bool] = {}  # requests under the active substep -> whether a chunk answered them
        self._moment: RobotMoment | None = None
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
        playing = self._playing
        return None if playing is None else (playing.chunk, playing.skipped + self._queue.steps_played)

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
    def step_counts(self) -> bool:
        """The next control step is one that lockstep takes too, so that a substep's and an episode's count the same
        with every clock: it plays an action, stands for one that was rejected, or is for coming to rest."""
        return self.is_under_task and (len(self._queue) > 0 or self._owes_hold or self._rest > 0)

    @property
    def may_step(self) -> bool:
        """In lockstep: there is an action to play before another chunk is needed, or a hold step that gives the policy
        a fresh observation or what was let go the time to come to rest."""
        if len(self._queue):
            return self._owes_hold or not self._wants_chunk
        return (self._owes_hold and self._wants_chunk) or (self._rest > 0 and self.over is None)

    @property
    def wants_request(self) -> bool:
        """The policy should be asked for a chunk about the newest observation.

        Where nothing is played that is one of after the last action: sensors are late, and about an older one the
        first actions of the chunk would repeat what has been done.
        """
        if not self._wants_chunk or self._owes_hold or self.outstanding is not None:
            return False
        return len(self._queue) > 0 or self._timeline.has_come_to_rest(self._moment.stamp)

    @property
    def answer_delay(self) -> int:
        """Control steps that are expected to begin before a chunk that is asked for now comes."""
        return self._delay.steps

    @property
    def expected(self) -> np.ndarray:
        """(N, A) what the robot is told next unless something newer comes, also where it holds."""
        return self._queue.expected

    @property
    def left_over(self) -> np.ndarray:
        """(N, A) what is played from the newest observation on unless a chunk comes; none where no rule needs it.

        Sensors are late: some of it has been played already, and is what a chunk about that observation begins with.
        """
        left = self._queue.left
        if not self.joining.rule.needs_guidance or not len(left):
            return left[:0]
        return np.stack([*self._timeline.played_since(self._moment.stamp), *left])

    @property
    def _wants_chunk(self) -> bool:
        """There is a substep to ask about, and no more is queued than is played until an answer comes."""
        if not len(self._queue):
            return self.hold.kind is HoldKind.WAITING_FOR_A_CHUNK
        chunk, index = self.playing
        wanted = min(self.joining.settings.actions_per_chunk or len(chunk.actions), len(chunk.actions))
        if chunk.has_eos and wanted == len(chunk.actions):
            return False
        return wanted - index <= self._lead

    @property
    def _lead(self) -> int:
        """Actions that are queued when the next chunk is asked for.

        Where answers take no time nothing overlaps. Where they take as long as a chunk lasts, asking ahead is worse
        than in turn: half of each chunk would have passed when it comes.
        """
        rule, delay = self.joining.rule, self.answer_delay
        return delay + rule.overlap if rule.asks_ahead and 0 < delay < len(self._playing.chunk.actions) else 0

    def next_action(self, now: int = 0) -> np.ndarray:
        """(A,) what the robot does in this control step.

        Args:
            now: ns of world time at which it begins, where that is later than the newest measurement.
        """
        self._owes_hold = False
        self._rest = max(0, self._rest - 1)
        if len(self._queue):
            begins = max(now, self._moment.now)
            self._begun = begins if not self._queue.steps_played else self._begun
            self._timeline.take(begins, self._queue.left[0])
        return self._queue.next_action(self._moment.proprio)

    def after_step(self, moment: RobotMoment, over: EpisodeEnd | None = None) -> list[ChunkReport]:
        """Call after each control step.

        Args:
            moment: the robot as measured after it; beyond a limit of its contract it holds until ``reset``.
            over: why the episode has ended with it, if it has.
        """
        if moment.stamp < self._moment.stamp or self._timeline.is_ahead_of(moment.now):
            self._timeline.turn_back()
            self._newest = None
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
        return self._finish_chunk()

    def _finish_chunk(self) -> list[ChunkReport]:
        """Nothing of the newest chunk is ahead."""
        answer, part = self._end_playing()
        if not answer.chunk.has_eos:
            return [ChunkReport(answer, ChunkOutcome.PLAYED, part)]
        self._finished, self.outstanding = answer.request.substep, None
        return [ChunkReport(answer, ChunkOutcome.PLAYED_EOS, part)]

    def _end_playing(self) -> tuple[ChunkAnswer, PlayedPart]:
        """What was being played, and what of it was."""
        playing, self._playing = self._playing, None
        commands = self._queue.played
        if not len(commands):
            return playing.answer, NOTHING
        return playing.answer, PlayedPart(playing.skipped, self._begun, commands)

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
        self._active, self.outstanding, self._newest = substep, None, None
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
        if hindrance or self._hindrance:
            self._queue.measure_anew()
        self._hindrance = hindrance
        if not begins:
            return []
        self.outstanding = None
        self._asked.clear()  # what is still to come answers an observation from before
        return self._drop(Reason(ChunkReason.ROBOT_NOT_READY, hindrance.text))

    def reset(self, episode: int, moment: RobotMoment) -> list[ChunkReport]:
        """A new episode: nothing queued, guard released. The active substep stays.

        Args:
            moment: the robot as measured; beyond a limit of its contract the guard latches again.
        """
        reports = self._drop(Reason(ChunkReason.EPISODE_RESET))
        self._moment = moment
        self.guard.reset()
        self.guard.watch(moment)
        self._queue = ActionQueue(self.contract)
        self._timeline.turn_back()
        self._asked.clear()
        self.episode, self.outstanding, self._finished, self._newest = episode, None, None, None
        self.over, self._owes_hold, self._rest = None, False, 0
        return reports

    def request(self) -> RequestKey:
        """The request to send, about the newest observation; it takes the place of the outstanding one.

        Raises:
            RuntimeError: there is no substep to ask about.
        """
        if not self._wants_chunk and self.outstanding is None:
            raise RuntimeError(f"no chunk is wanted: {self.hold.text or 'one is being played'}")
        self.outstanding = RequestKey(self._moment.stamp, self.episode, self._active)
        self._asked[self.outstanding] = False
        return self.outstanding

    def receive(self, answer: ChunkAnswer, now: int = 0) -> list[ChunkReport]:
        """A chunk has come in. Args: now: ns of world time, where that is later than the newest measurement."""
        self._moment = replace(self._moment, now=max(now, self._moment.now))
        request = answer.request
        if request.episode != self.episode or request.substep != self._active:
            is_old = request.episode != self.episode
            stale = Reason(ChunkReason.STALE_EPISODE if is_old else ChunkReason.STALE_SUBSTEP)
            return [ChunkReport(answer, ChunkOutcome.SUPERSEDED, reason=stale)]
        if request not in self._asked:
            return [ChunkReport(answer, ChunkOutcome.SUPERSEDED, reason=Reason(ChunkReason.NOT_ASKED_FOR))]
        if self._asked[request]:
            return []  # the same answer again, to a request that was repeated
        self._asked[request] = True
        reason, ahead = self._judge(answer)
        if not reason and self._newest is not None and request.stamp < self._newest:
            return [ChunkReport(answer, ChunkOutcome.SUPERSEDED, reason=Reason(ChunkReason.NEWER_CHUNK))]
        if request == self.outstanding or not reason:
            self.outstanding = None
            self._owes_hold = bool(reason)
        if reason:
            is_latched = self.guard.latched is not None
            stopped = self._stop(Reason(ChunkReason.LATCHED, self.guard.latched)) if is_latched else []
            return [ChunkReport(answer, ChunkOutcome.REJECTED, reason=reason, latched=is_latched), *stopped]
        return self._play(answer, ahead)

    def _judge(self, answer: ChunkAnswer) -> tuple[Reason[ChunkReason], np.ndarray]:
        """Why a chunk for the current substep is not played, ``FINE`` if it is; and (N, A) of it, N ≥ 0, that is."""
        nothing = self._queue.left[:0]
        if self.guard.latched is not None:
            return Reason(ChunkReason.LATCHED, self.guard.latched), nothing
        if self.over is not None:
            return Reason(ChunkReason.EPISODE_OVER, self.over), nothing
        if self._active == self._finished:
            return Reason(ChunkReason.SUBSTEP_ENDED), nothing
        if answer.chunk is None:
            return self.guard.fail(Reason(ChunkReason.SHAPE, answer.malformed)), nothing
        commanded = self._queue.last if len(self._queue) else self.held_action
        situation = Situation(self._age(answer), self._moment, commanded, self._queue.recent)
        if reason := self.guard.check_form(answer.chunk.actions, situation):
            return reason, nothing
        ahead = answer.chunk.actions[self._timeline.passed(answer.request.stamp) :]
        if not len(ahead):
            return FINE, ahead
        joined = self.joining.rule.join(Meeting(self.contract, self._queue.left, [*self._timeline.ahead, ahead]))
        return self.guard.check_motion(joined, situation), joined

    def _age(self, answer: ChunkAnswer) -> float:
        """s of world time since the observation that it answers."""
        return (self._moment.now - answer.request.stamp) / 1e9

    def _play(self, answer: ChunkAnswer, joined: np.ndarray) -> list[ChunkReport]:
        """The newest chunk takes over, joined to what was queued."""
        chunk, self._newest = answer.chunk, answer.request.stamp
        self._delay.add(self._age(answer))
        self._look_at_length(chunk)
        skipped = len(chunk.actions) - len(joined)
        if not len(joined) and not chunk.has_eos:
            return [ChunkReport(answer, ChunkOutcome.SUPERSEDED, reason=Reason(ChunkReason.PASSED))]
        reports = self._hand_over()
        self._timeline.add(chunk.actions[skipped:])
        self._queue.load(joined)
        self._playing = Playing(answer, skipped)
        return reports if len(joined) else reports + self._finish_chunk()

    def _look_at_length(self, chunk: Chunk) -> None:
        """Some policies give fewer actions near objects: the longest chunk counts."""
        self._longest = max(self._longest, len(chunk.actions))
        if self.joining.rule.asks_ahead and not chunk.has_eos:
            self.shortfall = shortfall(self._longest, self.answer_delay, self.contract.rate)

    def _hand_over(self) -> list[ChunkReport]:
        """What was being played ends where the newest chunk takes over, as it should where some of it was played."""
        self._queue.drop()
        if self._playing is None:
            return []
        answer, part = self._end_playing()
        if len(part.commands) and not answer.chunk.has_eos:
            return [ChunkReport(answer, ChunkOutcome.PLAYED, part)]
        return [ChunkReport(answer, ChunkOutcome.SUPERSEDED, part, Reason(ChunkReason.NEWER_CHUNK))]

    def _stop(self, reason: Reason[ChunkReason]) -> list[ChunkReport]:
        """The guard has latched: nothing is played on and nothing is waited for."""
        self.outstanding = None
        return [replace(report, latched=True) for report in self._drop(reason)]

    def _drop(self, reason: Reason[ChunkReason]) -> list[ChunkReport]:
        """Cuts short what is being played."""
        self._queue.drop()
        self._timeline.forget_chunks()
        if self._playing is None:
            return []
        answer, part = self._end_playing()
        return [ChunkReport(answer, ChunkOutcome.SUPERSEDED, part, reason)]

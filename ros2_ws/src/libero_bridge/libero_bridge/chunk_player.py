"""Asks for chunks, guards, plays and reports them. Knows substeps and episodes, but neither ROS nor the world."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from libero_bridge.action_queue import ActionQueue
from libero_bridge.safety import SafetyGuard
from substep_policy.chunk import Chunk
from substep_policy.request_desk import RequestKey, SubstepKey

NO_EOS_PROBABILITY = -1.0
REST_STEPS = 20  # after the last substep: what was just let go is still falling
NO_SUBSTEP = "waiting for a substep"


class Outcome(IntEnum):
    """What became of a chunk; the values are those of ChunkReport.msg."""

    PLAYED = 0
    PLAYED_EOS = 1
    SUPERSEDED = 2
    REJECTED = 3


@dataclass(frozen=True)
class Answer:
    """A chunk as it came in. ``malformed`` says why it could not be read (then ``chunk`` is None)."""

    request: RequestKey
    chunk: Chunk | None
    eos_probability: float = NO_EOS_PROBABILITY
    inference_time: float = 0.0
    malformed: str = ""


@dataclass(frozen=True)
class Report:
    """What became of one answer."""

    answer: Answer
    outcome: Outcome
    steps_played: int = 0
    reason: str = ""
    latched: bool = False


class ChunkPlayer:
    """The action queue with its rules: whose chunk is played, when the next one is asked for, when the arm holds."""

    def __init__(self, guard: SafetyGuard) -> None:
        self.guard = guard
        self.episode = 0
        self.outstanding: RequestKey | None = None
        self._queue = ActionQueue()
        self._playing: Answer | None = None
        self._active: SubstepKey | None = None
        self._finished: SubstepKey | None = None  # ended by EOS: wait for another one
        self._answered: set[int] = set()  # stamps of requests that were answered under the active substep
        self._over = ""
        self._owes_hold = False
        self._rest = 0  # hold steps until the world is at rest

    @property
    def hold_reason(self) -> str:
        """Why nothing is being played; empty while a chunk is."""
        if len(self._queue):
            return ""
        if self._over:
            return f"episode over: {self._over}"
        if self.guard.latched:
            return f"latched: {self.guard.latched}"
        if self._active is None:
            return "coming to rest" if self._rest else NO_SUBSTEP
        if self._active == self._finished:
            return "waiting for the next substep"
        return "waiting for a chunk"

    @property
    def gripper(self) -> float:
        """As last commanded: 1 closes, -1 opens."""
        return self._queue.gripper

    @property
    def may_step(self) -> bool:
        """In lockstep: there is an action to play, or a hold step that gives the policy a fresh observation or what
        was let go the time to come to rest."""
        is_to_hold = (self._owes_hold and self._can_request) or (self._rest > 0 and not self._over)
        return bool(len(self._queue)) or is_to_hold

    @property
    def wants_request(self) -> bool:
        """The policy should be asked for a chunk about the newest observation."""
        return self._can_request and not self._owes_hold and self.outstanding is None

    @property
    def _can_request(self) -> bool:
        return self.hold_reason == "waiting for a chunk"

    def next_action(self) -> np.ndarray:
        """(7,) what the arm does in this control step."""
        self._owes_hold = False
        self._rest = max(0, self._rest - 1)
        return self._queue.next_action()

    def after_step(self, over: str = "") -> list[Report]:
        """Call after each control step. over: why the episode has ended with it, if it has."""
        if over:
            self._over, self.outstanding = over, None
        if self._playing is None:
            return []
        if len(self._queue):
            return self._drop(f"episode over: {over}") if over else []
        answer, self._playing = self._playing, None
        if not answer.chunk.has_eos:
            return [Report(answer, Outcome.PLAYED, self._queue.steps_played)]
        self._finished = answer.request.substep
        return [Report(answer, Outcome.PLAYED_EOS, self._queue.steps_played)]

    def activate(self, substep: SubstepKey | None, plan_done: bool = False) -> list[Report]:
        """The planner says what is to be executed now (None: nothing). What belongs to another substep is dropped.

        Args:
            plan_done: the last substep has ended, so the world comes to rest before it holds.
        """
        if substep == self._active:
            return []
        self._rest = REST_STEPS if plan_done else 0
        self._active, self.outstanding = substep, None
        self._answered.clear()
        return self._drop("another substep became active" if substep else "no substep is active any more")

    def reset(self, episode: int) -> list[Report]:
        """A new episode: nothing queued, guard released. The active substep stays."""
        reports = self._drop("the episode was reset")
        self.guard.reset()
        self._queue = ActionQueue()
        self._answered.clear()
        self.episode, self.outstanding, self._finished = episode, None, None
        self._over, self._owes_hold, self._rest = "", False, 0
        return reports

    def request(self, stamp: int) -> RequestKey:
        """The request to send, about the observation of ``stamp``; it takes the place of the outstanding one.

        Raises:
            RuntimeError: there is no substep to ask about.
        """
        if not self._can_request:
            raise RuntimeError(f"no chunk is wanted: {self.hold_reason or 'one is being played'}")
        self.outstanding = RequestKey(stamp, self.episode, self._active)
        return self.outstanding

    def receive(self, answer: Answer, now: int, eef_position: np.ndarray) -> list[Report]:
        """A chunk has come in. now: ns of world time; eef_position: (3,) m in the frame of the workspace."""
        request = answer.request
        if request.episode != self.episode or request.substep != self._active:
            stale = "episode" if request.episode != self.episode else "substep"
            return [Report(answer, Outcome.SUPERSEDED, 0, f"the {stale} it answers is not the current one")]
        if request.stamp in self._answered:
            return []  # the same answer again, to a request that was repeated
        reason = self._judge(answer, now, eef_position)
        if request == self.outstanding or not reason:
            self._answered.add(request.stamp)
            self.outstanding = None
            self._owes_hold = bool(reason)
        if reason:
            return [Report(answer, Outcome.REJECTED, 0, reason, bool(self.guard.latched))]
        reports = self._drop("a newer chunk took its place")
        self._queue.load(answer.chunk)
        self._playing = answer
        return reports

    def _judge(self, answer: Answer, now: int, eef_position: np.ndarray) -> str:
        """Why a chunk for the current substep is not played; empty if it is."""
        if self.guard.latched:
            return f"latched: {self.guard.latched}"
        if self._over:
            return f"episode over: {self._over}"
        if self._active == self._finished:
            return "substep: it has already ended"
        if answer.malformed:
            return self.guard.fail(f"shape: {answer.malformed}")
        return self.guard.check(answer.chunk.actions, (now - answer.request.stamp) / 1e9, eef_position)

    def _drop(self, reason: str) -> list[Report]:
        """Cuts short what is being played."""
        played = self._queue.drop()
        if self._playing is None:
            return []
        answer, self._playing = self._playing, None
        return [Report(answer, Outcome.SUPERSEDED, played, reason)]

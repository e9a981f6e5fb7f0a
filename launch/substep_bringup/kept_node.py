"""Brings one lifecycle node up, and up again after its process was started anew. Knows no ROS node; see ManagedNode."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from lifecycle_msgs.msg import State, TransitionEvent

from substep_bringup.managed_node import ACTIVATE, CONFIGURE

LOOK = 1.0  # s between two questions for a node's state
ANSWER = 5.0  # s after which a question that was not answered is asked again
LONGEST_TRANSITION = 1800.0  # s; a large model is loaded in configure
LONGEST_PAUSE = 60.0  # s from a refusal to the next try
TAKEN_DOWN = (
    State.TRANSITION_STATE_DEACTIVATING,
    State.TRANSITION_STATE_CLEANINGUP,
    State.TRANSITION_STATE_SHUTTINGDOWN,
)
WORDS = {CONFIGURE: "configure", ACTIVATE: "become active"}


class PendingAnswer(Protocol):
    def done(self) -> bool: ...
    def result(self) -> Any: ...


class Managed(Protocol):
    """What ``ManagedNode`` offers."""

    name: str

    def is_there(self) -> bool: ...
    def ask_state(self) -> PendingAnswer: ...
    def request(self, transition: int) -> PendingAnswer: ...


class KeptNode:
    """Call ``tick`` again and again, and ``hear`` with the node's transition events.

    A node that somebody has deactivated, cleaned up or shut down is left alone until somebody activates it or its
    process is gone: whoever stops a robot by hand must not be contradicted.

    Args:
        may_activate: whether what it depends on is active.
        tell: takes a sentence for people.
        clock: monotonic s.

    Attributes:
        is_active: as far as is known.
        is_left_alone: somebody has taken it down.
    """

    def __init__(
        self,
        managed: Managed,
        may_activate: Callable[[], bool],
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = managed.name
        self.is_active = False
        self.is_left_alone = False
        self._managed = managed
        self._may_activate = may_activate
        self._tell = tell
        self._clock = clock
        self._answer: PendingAnswer | None = None
        self._transition: int | None = None  # that the answer is about; None: it is about the state
        self._deadline = 0.0  # of the answer
        self._next = 0.0  # when to ask again
        self._refusals = 0

    def hear(self, event: TransitionEvent) -> None:
        """The node has gone from one state to another."""
        if event.start_state.id in TAKEN_DOWN and not self.is_left_alone:
            self.is_active, self.is_left_alone = False, True
            if self._transition is None:
                self._answer = None  # an answer that is on its way tells of the time before
            self._tell(
                f"{self.name} was taken down by somebody: it is left alone until it is activated or started anew"
            )

    def tick(self) -> None:
        """Go one step on, if there is one."""
        now = self._clock()
        if not self._managed.is_there():
            self._lose()
        elif self._answer is None:
            if now >= self._next:
                self._ask(self._managed.ask_state(), None, ANSWER)
        elif self._answer.done():
            answer, self._answer = self._answer, None
            if self._transition is None:
                self._act_on(answer.result().current_state.id)
            else:
                self._conclude(answer.result().success)
        elif now >= self._deadline:  # it is stuck, or has ended without a word and is not missed yet
            self._answer = None
            self._note_inactive("does not answer")

    def _lose(self) -> None:
        self._note_inactive("is gone")
        self.is_left_alone = False
        self._answer, self._next, self._refusals = None, 0.0, 0

    def _note_inactive(self, why: str) -> None:
        if self.is_active:
            self.is_active = False
            self._tell(f"{self.name} {why}")

    def _ask(self, answer: PendingAnswer, transition: int | None, patience: float) -> None:
        self._answer, self._transition, self._deadline = answer, transition, self._clock() + patience

    def _act_on(self, state: int) -> None:
        self._next = self._clock() + LOOK
        was_active, self.is_active = self.is_active, state == State.PRIMARY_STATE_ACTIVE
        if self.is_active:
            self.is_left_alone, self._refusals = False, 0
            if not was_active:
                self._tell(f"{self.name} is active")
        elif self.is_left_alone:
            return
        elif state == State.PRIMARY_STATE_UNCONFIGURED:
            self._ask(self._managed.request(CONFIGURE), CONFIGURE, LONGEST_TRANSITION)
        elif state == State.PRIMARY_STATE_INACTIVE and self._may_activate():
            self._ask(self._managed.request(ACTIVATE), ACTIVATE, LONGEST_TRANSITION)

    def _conclude(self, success: bool) -> None:
        if success:
            self._next = self._clock()
            return
        self._refusals += 1
        pause = min(LONGEST_PAUSE, 2.0**self._refusals)
        self._next = self._clock() + pause
        self._tell(f"{self.name} refused to {WORDS[self._transition]} (its log says why); next try in {pause:.0f} s")

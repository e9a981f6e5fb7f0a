"""Brings the nodes of a graph up, and down again."""

from __future__ import annotations

import time
from collections.abc import Callable

from lifecycle_msgs.msg import State

from substep_bringup.session.interruption import TookTooLong, wait_quietly
from substep_bringup.session.lifecycle import ACTIVATE, CONFIGURE, SHUTDOWN, ManagedNode
from substep_bringup.session.session_config import SessionConfig
from substep_bringup.session.session_node import SessionNode

ANSWER = 5.0  # s after which a question that takes no work is asked again
ANSWER_WHEN_ENDING = 2.0  # s; whoever has died does not answer
SHUTTING_DOWN = 5.0  # s for each node

Wait = Callable[[Callable[[], bool], float, str], None]  # condition, seconds, what is waited for


class BringupFailed(Exception):
    """The graph did not come up; the message names the node and says what it said."""


class Bringup:
    """Takes the nodes of a session through their lifecycle.

    Args:
        wait: waits for a condition and shows what for; raises Interrupted, or TookTooLong after that many s.
    """

    def __init__(self, node: SessionNode, config: SessionConfig, wait: Wait) -> None:
        self._node = node
        self._config = config
        self._wait = wait
        self._managed = [ManagedNode(node, name) for name in config.nodes]
        self._ours: list[ManagedNode] = []

    def up(self) -> None:
        """Configure all nodes, then activate them in their order; nodes that are active already are left alone.

        Raises:
            BringupFailed: a node does not come up; the message quotes what it said.
            Interrupted: somebody wants the run to end.
        """
        for managed in self._managed:
            self._wait_for_start(managed)
        states = {managed: self._state_of(managed) for managed in self._managed}
        self._ours = [managed for managed, state in states.items() if state != State.PRIMARY_STATE_ACTIVE]
        self._configure([node for node in self._ours if states[node] == State.PRIMARY_STATE_UNCONFIGURED])
        for managed in self._ours:
            self._activate(managed)

    def _wait_for_start(self, managed: ManagedNode) -> None:
        limit = self._config.start_timeout
        try:
            self._wait(managed.is_there, limit, f"waiting for node {managed.name}")
        except TookTooLong:
            raise BringupFailed(f"node {managed.name} has not come up within {limit:.0f} s") from None

    def _state_of(self, managed: ManagedNode) -> int:
        """Asks again when there is no answer: one that was sent before the node had found us is lost."""
        limit = time.monotonic() + self._config.start_timeout
        while time.monotonic() < limit:
            answer = managed.ask_state()
            try:
                self._wait(answer.done, ANSWER, f"asking node {managed.name} for its state")
            except TookTooLong:
                continue
            return answer.result().current_state.id
        raise BringupFailed(f"node {managed.name} does not say which state it is in")

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
            raise BringupFailed(f"node {managed.name} {refusal}: {self._node.last_word(managed.name)}")

    def down(self) -> None:
        """Shut down what was brought up, in the reverse order and in bounded time.

        Nodes that are gone or stuck in a transition are left out; whoever watches the processes ends them.
        """
        reachable = [node for node in reversed(self._ours) if node.is_there() and not node.is_busy()]
        states = {managed: managed.ask_state() for managed in reachable}
        wait_quietly(lambda: all(state.done() for state in states.values()), ANSWER_WHEN_ENDING)
        for managed in [managed for managed in reachable if states[managed].done()]:
            transition = SHUTDOWN.get(states[managed].result().current_state.id)
            if transition is not None:
                wait_quietly(managed.request(transition).done, SHUTTING_DOWN)

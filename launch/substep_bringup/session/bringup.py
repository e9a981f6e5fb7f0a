"""Takes the nodes of a graph through their lifecycle, up and down."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from lifecycle_msgs.msg import State
from rclpy.task import Future

from substep_bringup.managed_node import ACTIVATE, CONFIGURE, SHUTDOWN, ManagedNode
from substep_bringup.session.interruption import TookTooLong, wait_quietly
from substep_bringup.session.session_config import SessionConfig
from substep_bringup.session.session_node import SessionNode

ANSWER = 5.0  # s after which a question that takes no work is asked again
ANSWER_WHEN_ENDING = 2.0  # s; a node that has died does not answer
SHUTTING_DOWN = 5.0  # s for each node
DISCOVERY = 3.0  # s in which another graph that is there is found

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
        self._begun = time.monotonic()

    def up(self) -> None:
        """Configure all nodes, then activate them in their order; nodes that are active already are left alone.

        Raises:
            BringupFailed: a node does not come up, and the message quotes what it said; or there is another graph.
            Interrupted: the run is to end.
        """
        for managed in self._managed:
            self._wait_for_start(managed)
        self._check_alone()
        states = {managed: self._state_of(managed) for managed in self._managed}
        if self._config.starts_graph and State.PRIMARY_STATE_ACTIVE in states.values():
            raise self._not_alone([managed.name for managed in states if states[managed] == State.PRIMARY_STATE_ACTIVE])
        self._ours = [managed for managed, state in states.items() if state != State.PRIMARY_STATE_ACTIVE]
        self._configure([node for node in self._ours if states[node] == State.PRIMARY_STATE_UNCONFIGURED])
        self._look_around(self._begun + DISCOVERY)  # the other may have begun at the same time, or be found only now
        for managed in self._ours:
            self._activate(managed)

    def _check_alone(self) -> None:
        """Two graphs that hear each other would take each other's nodes up and down, and command one arm.

        From then on no node is asked for anything: the other graph's would do it too. The process runner or launch
        ends ours.
        """
        if twice := self._node.seen_twice():
            raise self._not_alone(twice)

    def _look_around(self, until: float) -> None:
        """Find another graph that is there; this takes ``until`` a time of the monotonic clock."""

        def has_looked() -> bool:
            return time.monotonic() > until or bool(self._node.seen_twice())

        if self._config.starts_graph:
            self._wait(has_looked, 2 * DISCOVERY, "looking for other graphs")
        self._check_alone()

    def _not_alone(self, nodes: Sequence[str]) -> BringupFailed:
        self._ours = []
        where = f"in ROS domain {self._node.context.get_domain_id()} and namespace {self._node.get_namespace()!r}"
        return BringupFailed(
            f"there is already a graph {where}, with {', '.join(nodes)}: end it, or choose another ROS_DOMAIN_ID or "
            "namespace"
        )

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
            self._look_around(time.monotonic() + DISCOVERY)  # it may be another graph's node that has refused
            raise BringupFailed(f"node {managed.name} {refusal}: {self._node.last_word(managed.name)}")

    def down(self) -> None:
        """Shut down what was brought up, in the reverse order and in bounded time.

        Nodes that are gone or stuck in a transition are left out; the process runner or launch ends them.
        """
        self._shut_down(self._ours)

    def finish(self, name: str) -> None:
        """Shut one node down before the others, if it was brought up."""
        self._shut_down([node for node in self._ours if node.name == name])

    def _shut_down(self, nodes: Sequence[ManagedNode]) -> None:
        reachable = [node for node in reversed(nodes) if node.is_there() and not node.is_busy()]
        states = {managed: managed.ask_state() for managed in reachable}
        wait_quietly(lambda: all(_is_settled(*item) for item in states.items()), ANSWER_WHEN_ENDING)
        for managed in [managed for managed in reachable if states[managed].done()]:
            transition = SHUTDOWN.get(states[managed].result().current_state.id)
            if transition is not None:
                answer = managed.request(transition)
                wait_quietly(lambda: _is_settled(managed, answer), SHUTTING_DOWN)  # noqa: B023 (called in this round)


def _is_settled(managed: ManagedNode, answer: Future) -> bool:
    """There is an answer, or will be none: a Ctrl-C that ends the session may have ended the nodes as well."""
    return answer.done() or not managed.is_there()

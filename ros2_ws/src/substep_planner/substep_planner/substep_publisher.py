"""Publishes the active substep again and again, and notices when somebody else publishes one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from substep_interfaces.msg import ActiveSubstep

from substep_core.ros import topics
from substep_core.ros.lifecycle_node import GraphNode
from substep_core.ros.messages import to_nanoseconds
from substep_planner.manager.events import AnotherPlan

SIGN_OF_LIFE = 1.0  # s between two messages of active_substep, whether anything has changed or not
ECHOES = 100  # more than are on their way at once


class SubstepPublisher:
    """Made when the node is configured; goes with its other entities.

    Args:
        on_stranger: told of a message that is not the planner's own: somebody else commands the arm.
    """

    def __init__(self, node: GraphNode, on_stranger: Callable[[AnotherPlan], None]) -> None:
        self._node, self._on_stranger = node, on_stranger
        self._lock = threading.Lock()
        self._newest = ActiveSubstep()
        self._sent: deque[tuple] = deque(maxlen=ECHOES)  # signatures of the newest messages
        self._publisher = node.advertise(topics.ACTIVE_SUBSTEP)
        node.subscribe(topics.ACTIVE_SUBSTEP, self._on_substep)
        node.repeat(SIGN_OF_LIFE, self._repeat)

    def publish(self, message: ActiveSubstep) -> None:
        """From now on this is active; from any thread."""
        with self._lock:
            self._newest = message
            self._send()

    def _repeat(self) -> None:
        """The bridge holds the arm where it hears nothing of the planner for a while."""
        if self._node.is_active:
            with self._lock:  # the one before must not come after
                self._send()

    def _send(self) -> None:
        if self._node.context.ok():
            message = self._newest
            message.header.stamp = self._node.now()
            self._sent.append(_signature(message))
            self._publisher.publish(message)

    def _on_substep(self, message: ActiveSubstep) -> None:
        if _signature(message) not in self._sent:
            self._on_stranger(AnotherPlan(message.plan_id))


def _signature(message: ActiveSubstep) -> tuple:
    """What tells a message from those of others; time may stand still."""
    stamp = to_nanoseconds(message.header.stamp)
    return stamp, message.plan_id, message.index, message.attempt, message.plan_done

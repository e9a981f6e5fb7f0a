"""A lifecycle node seen from outside: ask for a transition, ask for its state."""

from __future__ import annotations

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.node import Node
from rclpy.task import Future

CONFIGURE = Transition.TRANSITION_CONFIGURE
ACTIVATE = Transition.TRANSITION_ACTIVATE
SHUTDOWN = {
    State.PRIMARY_STATE_UNCONFIGURED: Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    State.PRIMARY_STATE_INACTIVE: Transition.TRANSITION_INACTIVE_SHUTDOWN,
    State.PRIMARY_STATE_ACTIVE: Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


class ManagedNode:
    """A lifecycle node seen from outside.

    Args:
        node: whose clients are used; an executor spins it.
        name: of the managed node, within the namespace of ``node``.
    """

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self._change = node.create_client(ChangeState, f"{name}/change_state")
        self._state = node.create_client(GetState, f"{name}/get_state")
        self._pending: Future | None = None

    def is_there(self) -> bool:
        """Its services can be called."""
        return self._change.service_is_ready() and self._state.service_is_ready()

    def is_busy(self) -> bool:
        """A transition that was asked for has not been answered."""
        return self._pending is not None and not self._pending.done()

    def request(self, transition: int) -> Future:
        """Ask for a transition; the future's result has ``success``."""
        self._pending = self._change.call_async(ChangeState.Request(transition=Transition(id=transition)))
        return self._pending

    def ask_state(self) -> Future:
        """The future's result has ``current_state``."""
        return self._state.call_async(GetState.Request())

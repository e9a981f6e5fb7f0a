"""Base of the lifecycle nodes: entities from configure to cleanup, diagnostics, refused transitions."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import CallbackGroup
from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher

from substep_core.configuration import told
from substep_core.printable import printable_lines
from substep_core.ros import topics
from substep_core.ros.parameters import NodeParameters

HEARTBEAT_PERIOD = 1.0  # s between two messages of /diagnostics
E = TypeVar("E")


class GraphNode(LifecycleNode):
    """A lifecycle node whose topics, services and timers are made in configure and destroyed in cleanup.

    A node fills in the hooks below. rclpy holds back the publishers of a node that is not active, and nothing else:
    what a callback does while ``is_active`` is false is the node's own affair.

    Args:
        node_options: handed to ``rclpy.node.Node``.

    Attributes:
        parameters: to be declared by the node.
        is_active: between ``activate`` and ``deactivate``.
    """

    def __init__(self, name: str, **node_options) -> None:
        super().__init__(name, **node_options)
        service = self._service_change_state  # rclpy's, whose callback a request that does not fit the state leaves
        service.callback = partial(self._on_change_state, service.callback)
        self.parameters = NodeParameters(self)
        self.is_active = False
        self._entities = ExitStack()

    # --- hooks ---

    def configure(self) -> None:
        """Load what the node needs, and create its entities. Raises: anything: configure fails with that."""

    def activate(self) -> None:
        """Begin. Raises: anything: activate fails with that."""

    def deactivate(self) -> None:
        """Stop. Called once more at the end of the node, whatever state it is in."""

    def release(self) -> None:
        """Let go of what ``configure`` has loaded. Called once more at the end of the node."""

    def diagnostics(self) -> list[DiagnosticStatus]:
        """What there is to say about the node now."""
        return []

    def now(self) -> Time:
        """What the node stamps its messages with: world time under use_sim_time, as for every ROS node."""
        return self.get_clock().now().to_msg()

    # --- log: all of it may quote other programs and files; rclpy wants a line of code for each severity ---

    def say(self, text: str) -> None:
        self.get_logger().info(printable_lines(text))

    def warn(self, text: str) -> None:
        self.get_logger().warning(printable_lines(text))

    def complain(self, text: str) -> None:
        self.get_logger().error(printable_lines(text))

    # --- entities ---

    def advertise(self, topic: topics.Topic, *, while_inactive: bool = False) -> Publisher:
        """while_inactive: what is published is heard though the node is not active."""
        if while_inactive:
            return self._keep(topic.publisher(self), self.destroy_publisher)
        return self._keep(topic.lifecycle_publisher(self), self.destroy_lifecycle_publisher)

    def subscribe(self, topic: topics.Topic, callback: Callable, *, raw: bool = False) -> None:
        """raw: ``callback`` gets the serialised message."""
        self._keep(topic.subscription(self, callback, raw=raw), self.destroy_subscription)

    def serve(self, service: topics.Service, callback: Callable, group: CallbackGroup | None = None) -> None:
        self._keep(service.server(self, callback, group), self.destroy_service)

    def client(self, service: topics.Service) -> Client:
        """What asks a service of another node."""
        return self._keep(service.client(self), self.destroy_client)

    def repeat(self, period: float, callback: Callable[[], None]) -> None:
        """Call every ``period`` s of wall time, also while simulated time stands still."""
        timer = self.create_timer(period, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._keep(timer, self.destroy_timer)

    def wake(self, callback: Callable[[], None]) -> Callable[[], None]:
        """What has the executor call ``callback`` soon; from any thread."""
        return self._keep(self.create_guard_condition(callback), self.destroy_guard_condition).trigger

    def _keep(self, entity: E, destroy: Callable[[E], object]) -> E:
        self._entities.callback(destroy, entity)
        return entity

    def publish_diagnostics(self) -> None:
        """Now, and not only at the next heartbeat."""
        if not self.is_active or not self.context.ok():
            return
        array = DiagnosticArray(status=self.diagnostics())
        array.header.stamp = self.now()
        self._diagnostics.publish(array)

    # --- transitions ---

    def _on_change_state(
        self, change_state: Callable, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        """rclpy raises where the state has no such transition; whoever asked is told, and the node goes on."""
        possible = {number: label for number, label, *_ in self._state_machine.available_transitions}
        wanted = request.transition.label or possible.get(request.transition.id, request.transition.id)
        if wanted in possible.values():
            return change_state(request, response)
        state, choices = self._state_machine.current_state[1], ", ".join(possible.values()) or "none"
        self.warn(f"change_state: no transition {wanted!r} from state {state!r}, possible: {choices}")
        response.success = False
        return response

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self.parameters.refuse_unknown()
            self.parameters.in_use(True)
            self.configure()
            self._diagnostics = self.advertise(topics.DIAGNOSTICS)
            self.repeat(HEARTBEAT_PERIOD, self.publish_diagnostics)
        except Exception as error:  # rclpy would swallow it
            self._release()
            return self._failure("configure", error)
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = super().on_activate(state)
        try:
            self.activate()
        except Exception as error:  # rclpy would swallow it
            self._stop()
            super().on_deactivate(state)
            return self._failure("activate", error)
        self.is_active = True
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        self._release()
        return super().on_shutdown(state)

    def destroy_node(self) -> None:
        self._stop()
        self._release()
        super().destroy_node()

    def _failure(self, transition: str, error: Exception) -> TransitionCallbackReturn:
        """A ``ValueError`` says what is wrong; of any other, unexpected one the traceback is logged too."""
        if isinstance(error, ValueError):
            self.complain(f"{transition} failed: {told(error)}")
        else:
            self.complain("".join(traceback.format_exception(error)))
            self.complain(f"{transition} failed: {type(error).__name__}: {error}")
        return TransitionCallbackReturn.FAILURE

    def _stop(self) -> None:
        self.is_active = False
        self.deactivate()

    def _release(self) -> None:
        self._entities.close()
        self.release()
        self.parameters.in_use(False)

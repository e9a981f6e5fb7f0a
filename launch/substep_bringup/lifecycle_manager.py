"""Node ``lifecycle_manager``: brings lifecycle nodes up and keeps them up, for as long as it runs."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import TransitionEvent
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_srvs.srv import Trigger

from substep_bringup.graph import EXECUTABLES, RECORDER
from substep_bringup.kept_node import KeptNode
from substep_bringup.managed_node import ManagedNode
from substep_core.ros import topics
from substep_core.ros.diagnostics import diagnostic_status
from substep_core.ros.lifecycle_node import HEARTBEAT_PERIOD
from substep_core.ros.node_main import run_node
from substep_core.ros.parameters import NodeParameters

TICK = 0.1  # s
EVENTS_KEPT = 10


class LifecycleManager(Node):
    """All nodes are configured at once, and each is activated when those before it in the list are active.

    Service ``~/is_active``: whether all are. Each node's state is in /diagnostics.

    Args:
        node_options: handed to ``rclpy.node.Node``.
    """

    def __init__(self, **node_options) -> None:
        super().__init__("lifecycle_manager", **node_options)
        parameters = NodeParameters(self, read_only=True)
        usual = [name for name in EXECUTABLES if name != RECORDER]
        parameters.declare("nodes", usual, "lifecycle nodes of this namespace, in the order of activation")
        parameters.refuse_unknown()
        self._kept: list[KeptNode] = []
        for name in parameters.value("nodes"):
            self._keep(name)
        self._diagnostics = topics.DIAGNOSTICS.publisher(self)
        topics.IS_ACTIVE.server(self, self._on_is_active)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(TICK, self._tick, clock=steady)
        self.create_timer(HEARTBEAT_PERIOD, self._publish_diagnostics, clock=steady)

    def _keep(self, name: str) -> None:
        before = tuple(self._kept)
        kept = KeptNode(ManagedNode(self, name), lambda: all(node.is_active for node in before), self.get_logger().info)
        self.create_subscription(TransitionEvent, f"{name}/transition_event", kept.hear, EVENTS_KEPT)
        self._kept.append(kept)

    def _tick(self) -> None:
        for kept in self._kept:
            kept.tick()

    def _on_is_active(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = all(kept.is_active for kept in self._kept)
        response.message = ", ".join(f"{kept.name}: {_state(kept)}" for kept in self._kept)
        return response

    def _publish_diagnostics(self) -> None:
        array = DiagnosticArray(status=[self._status(kept) for kept in self._kept])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _status(self, kept: KeptNode) -> DiagnosticStatus:
        level = DiagnosticStatus.OK if kept.is_active else DiagnosticStatus.WARN
        return diagnostic_status(self.get_fully_qualified_name(), kept.name, _state(kept), level)


def _state(kept: KeptNode) -> str:
    if kept.is_active:
        return "active"
    return "taken down by somebody" if kept.is_left_alone else "not active"


def main() -> int:
    return run_node(LifecycleManager)


if __name__ == "__main__":
    raise SystemExit(main())

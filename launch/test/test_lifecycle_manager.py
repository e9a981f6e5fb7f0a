"""The lifecycle manager and the nodes that it keeps up, through ROS."""

from __future__ import annotations

import time

import pytest
import rclpy
from lifecycle_msgs.msg import State, Transition
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter

from substep_bringup.lifecycle_manager import LifecycleManager
from substep_bringup.managed_node import ManagedNode
from substep_core.ros import topics

PATIENCE = 60.0  # s
NAMES = ["bridge", "policy"]


class Graph:
    """Two lifecycle nodes, their manager and somebody who asks, in one executor."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = {name: self.add(LifecycleNode(name, context=self.context)) for name in NAMES}
        nodes = Parameter("nodes", value=NAMES)
        self.add(LifecycleManager(context=self.context, parameter_overrides=[nodes]))
        self.somebody = self.add(rclpy.create_node("somebody", context=self.context))
        name = topics.IS_ACTIVE.name.replace("~", "lifecycle_manager")
        self.client = self.somebody.create_client(topics.IS_ACTIVE.type, name)

    def add(self, node):
        self.executor.add_node(node)
        return node

    def spin_until(self, condition) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.state()
            self.executor.spin_once(timeout_sec=0.05)

    def answer(self, future):
        self.spin_until(future.done)
        return future.result()

    def state(self):
        """What the manager says."""
        self.spin_until(self.client.service_is_ready)
        return self.answer(self.client.call_async(topics.IS_ACTIVE.type.Request()))

    def start_anew(self, name: str) -> None:
        self.executor.remove_node(self.nodes[name])
        self.nodes[name].destroy_node()
        self.nodes[name] = self.add(LifecycleNode(name, context=self.context))

    def close(self) -> None:
        for node in self.executor.get_nodes():
            node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def graph():
    graph = Graph()
    yield graph
    graph.close()


def test_nodes_are_brought_up_again_when_started_anew_and_left_alone_when_taken_down(graph):
    graph.spin_until(lambda: graph.state().success)
    graph.start_anew("policy")
    graph.spin_until(lambda: not graph.state().success)
    graph.spin_until(lambda: graph.state().success)

    bridge = ManagedNode(graph.somebody, "bridge")
    graph.spin_until(bridge.is_there)
    assert graph.answer(bridge.request(Transition.TRANSITION_DEACTIVATE)).success
    graph.spin_until(lambda: "bridge: taken down by somebody, policy: active" in graph.state().message)
    assert graph.answer(bridge.ask_state()).current_state.id == State.PRIMARY_STATE_INACTIVE
    assert graph.answer(bridge.request(Transition.TRANSITION_ACTIVATE)).success
    graph.spin_until(lambda: graph.state().success)

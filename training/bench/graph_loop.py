"""A graph in lockstep whose policy takes no time: what its steps cost is the way of the messages, and the world's.

The bridge runs in a process of its own; the policy node, with a policy that only reads its observation and circles,
and a stand-in for the planner run in this one.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from substep_interfaces.msg import ActiveSubstep, EpisodeStatus

from libero_bridge.benchmarks.timing import Speed, Stopwatch, motions
from libero_bridge.tasks import ROBOT
from substep_core.chunk import Chunk
from substep_core.contract import load_robot
from substep_core.observation import Observation
from substep_core.registry import Registry
from substep_core.ros import topics
from substep_policy.node import PolicyNode
from substep_policy.registry import PolicyRegistry, PolicySettings

HORIZON = 8
TIMEOUT = 180.0  # s without a control step, or an answer


class CirclingPolicy:
    """Takes no time: what is measured is the way of the observation to it and of its chunk to the arm."""

    name, device, dtype, requires_scene = "circling", "cpu", "float32", True
    horizon = HORIZON

    def __init__(self, settings: PolicySettings | None = None) -> None:
        self.robot = load_robot(ROBOT)
        self.cameras = self.robot.camera_names
        self._motions = motions(100)[:-1].astype(np.float32)  # one whole circle, so that the arm stays where it is

    def start_substep(self, instruction: str, task: str) -> None:
        pass

    def predict(self, observation: Observation) -> Chunk:
        steps = observation.stamp // self.robot.period_ns + np.arange(HORIZON)
        return Chunk(self._motions[steps % len(self._motions)])


class GraphLoop:
    """A graph that goes on whenever it is asked to; from ``running_loop``."""

    def __init__(self, bridge_pid: int) -> None:
        registry = PolicyRegistry(Registry("policy", "", {CirclingPolicy.name: CirclingPolicy}))
        chosen = Parameter("policy", value=CirclingPolicy.name)
        self._policy, self._driver = PolicyNode(registry, parameter_overrides=[chosen]), _Driver()
        self._pids = bridge_pid, os.getpid()
        self._executor = SingleThreadedExecutor()
        for node in (self._policy, self._driver):
            self._executor.add_node(node)

    def bring_up(self) -> None:
        """Raises: RuntimeError: a node cannot be activated."""
        self.activate("bridge")  # first: the policy is activated for the robot that it publishes
        for transition in (self._policy.trigger_configure, self._policy.trigger_activate):
            if transition() is not TransitionCallbackReturn.SUCCESS:
                raise RuntimeError(f"the policy node's {transition.__name__} failed; its log says why")
        self._driver.start()

    def activate(self, node: str) -> None:
        """Configure and activate a node of the graph. Raises: RuntimeError."""
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            self.change_state(node, transition)

    def change_state(self, node: str, transition: int) -> None:
        """Raises: RuntimeError: the node does not do it."""
        client = self._driver.transitions(node)
        self._spin_until(client.service_is_ready)
        future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        self._spin_until(future.done)
        if not future.result().success:
            raise RuntimeError(f"node {node} refused lifecycle transition {transition}; its log says why")

    def advance(self, steps: int) -> None:
        """Let that many control steps pass."""
        last = self._driver.step + steps
        self._spin_until(lambda: self._driver.step >= last)

    def measure(self, steps: int) -> Speed:
        """The speed of the next control steps; processor time is that of bridge, policy and stand-in together."""
        stopwatch = Stopwatch(self._driver.step, *self._pids)
        self.advance(steps)
        return stopwatch.read(self._driver.step)

    def close(self) -> None:
        self._executor.shutdown()
        self._policy.destroy_node()
        self._driver.destroy_node()

    def _spin_until(self, condition: Callable[[], bool]) -> None:
        step, deadline = self._driver.step, time.monotonic() + TIMEOUT
        while not condition():
            if self._driver.step != step:
                step, deadline = self._driver.step, time.monotonic() + TIMEOUT
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing has happened in the graph for {TIMEOUT:g} s, at step {step}")
            self._executor.spin_once(timeout_sec=0.1)


class _Driver(Node):
    """The planner's stand-in: keeps one substep active, and hears of each control step."""

    def __init__(self) -> None:
        super().__init__("driver")
        self.step = 0
        self._substeps = topics.ACTIVE_SUBSTEP.publisher(self)
        self._state_clients: dict[str, rclpy.client.Client] = {}
        topics.EPISODE_STATUS.subscription(self, self._on_status)

    def transitions(self, node: str) -> rclpy.client.Client:
        if node not in self._state_clients:
            self._state_clients[node] = self.create_client(ChangeState, f"{node}/change_state")
        return self._state_clients[node]

    def start(self) -> None:
        self._activate()
        self.create_timer(1.0, self._activate)  # a sign of life

    def _activate(self) -> None:
        self._substeps.publish(ActiveSubstep(plan_id="benchmark", count=1, instruction="circle"))

    def _on_status(self, message: EpisodeStatus) -> None:
        self.step = message.step


@contextlib.contextmanager
def running_loop(parameters: Mapping[str, Any]) -> Iterator[GraphLoop]:
    """A graph that is up.

    Args:
        parameters: of the bridge.

    Raises:
        RuntimeError: it does not come up.
    """
    with node_process("substep_bridge.node", {**parameters, "world": "libero", "horizon": 0}) as bridge:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is KeyboardInterrupt here
        try:
            with contextlib.closing(GraphLoop(bridge.pid)) as loop:
                loop.bring_up()
                yield loop
        finally:
            rclpy.try_shutdown()


@contextlib.contextmanager
def node_process(module: str, parameters: Mapping[str, Any], name: str = "") -> Iterator[subprocess.Popen]:
    """A node in a process of its own. name: of the node; empty: its usual one."""
    told = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
    renamed = ["-r", f"__node:={name}"] if name else []
    process = subprocess.Popen([sys.executable, "-m", module, "--ros-args", *renamed, *told], env=os.environ)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()

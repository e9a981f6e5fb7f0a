"""Control steps per second through ROS in lockstep, beside the same loop in one process.

The bridge runs in a process of its own; the policy node, with a policy that only reads its observation and circles,
and a stand-in for the planner run in this one. Without ROS a plain loop calls the same policy around ``Simulation``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from substep_interfaces.msg import ActiveSubstep, EpisodeStatus

from libero_bridge import libero_setup
from libero_bridge.benchmarks.timing import WARM_UP_STEPS, Speed, Stopwatch, motions
from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.world_publisher import LATCHED_QOS
from substep_policy.chunk import Chunk
from substep_policy.observation import Observation
from substep_policy.policy_node import PolicyNode
from substep_policy.registry import PolicyRegistry, PolicySettings

HORIZON = 8
TIMEOUT = 180.0  # s
REGISTRY = PolicyRegistry(named={"demonstrator": f"{__name__}:CirclingPolicy"})  # under the node's default name


class CirclingPolicy:
    """Takes no time: what is measured is the way of the observation to it and of its chunk to the arm."""

    name, device, dtype, requires_scene = "circling", "cpu", "float32", True

    def __init__(self, settings: PolicySettings | None = None) -> None:
        self._motions = motions(100).astype(np.float32)

    def start_substep(self, instruction: str, task: str) -> None:
        pass

    def predict(self, observation: Observation) -> Chunk:
        first = (observation.stamp // 50_000_000) % (len(self._motions) - HORIZON)
        return Chunk(self._motions[first : first + HORIZON])


def run(suite: str, task_index: int, steps: int, assets: str) -> None:
    """Prints both speeds and their ratio. assets: empty for the embedded ones."""
    source = assets or libero_setup.EMBEDDED_ASSETS
    print(f"{suite} {task_index}, two 128x128 cameras, chunks of {HORIZON} actions, {steps} steps, assets: {source}")
    direct = direct_speed(suite, task_index, steps, source)
    through_ros = graph_speed(suite, task_index, steps, source)
    print(f"  one process  {direct}")
    print(f"  through ROS  {through_ros}")
    wall, processor = through_ros.wall / direct.wall, through_ros.processor / direct.processor
    print(f"  ratio        {100 * wall:7.1f} % {100 * processor:14.1f} % (in processor time, both processes together)")


def direct_speed(suite: str, task_index: int, steps: int, assets: str) -> Speed:
    """Simulation and policy in one loop."""
    policy = CirclingPolicy()
    with contextlib.closing(Simulation(SimulationConfig(suite, task_index, assets=assets))) as world:
        observation = world.reset()
        while world.step_count < steps + WARM_UP_STEPS:
            for action in policy.predict(observation).actions:
                observation = world.step(action)
                if world.step_count == WARM_UP_STEPS:
                    stopwatch = Stopwatch(WARM_UP_STEPS, os.getpid())
        return stopwatch.read(world.step_count)


def graph_speed(suite: str, task_index: int, steps: int, assets: str) -> Speed:
    """Bridge and policy node, each in its process."""
    parameters = {"suite": suite, "task_index": task_index, "assets": assets, "horizon": 100_000}
    arguments = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    command = [sys.executable, "-m", "libero_bridge.bridge_node", "--ros-args", *arguments]
    bridge = subprocess.Popen(command, env=os.environ)
    try:
        return _drive(steps, bridge.pid)
    finally:
        bridge.terminate()
        bridge.wait()


def _drive(steps: int, bridge_pid: int) -> Speed:
    rclpy.init()
    policy, driver = PolicyNode(REGISTRY), _Driver(steps, bridge_pid)
    executor = SingleThreadedExecutor()
    for node in (policy, driver):
        executor.add_node(node)
    try:
        policy.trigger_configure()
        policy.trigger_activate()
        driver.bring_up(executor)
        _spin_until(executor, lambda: driver.speed is not None)
        return driver.speed
    finally:
        executor.shutdown()
        policy.destroy_node()
        driver.destroy_node()
        rclpy.shutdown()


class _Driver(Node):
    """The planner's stand-in: activates the bridge and one substep, and takes the time between two control steps."""

    def __init__(self, steps: int, bridge_pid: int) -> None:
        super().__init__("driver")
        self.speed: Speed | None = None
        self._bridge_pid = bridge_pid
        self._last_step = WARM_UP_STEPS + steps
        self._stopwatch: Stopwatch | None = None
        self._substeps = self.create_publisher(ActiveSubstep, "active_substep", LATCHED_QOS)
        self._transitions = self.create_client(ChangeState, "bridge/change_state")
        self.create_subscription(EpisodeStatus, "episode_status", self._on_status, LATCHED_QOS)

    def bring_up(self, executor: SingleThreadedExecutor) -> None:
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            _spin_until(executor, self._transitions.service_is_ready)
            future = self._transitions.call_async(ChangeState.Request(transition=Transition(id=transition)))
            _spin_until(executor, future.done)
            if not future.result().success:
                raise RuntimeError("the bridge did not come up; its log says why")
        self._substeps.publish(ActiveSubstep(plan_id="benchmark", count=1, instruction="circle"))

    def _on_status(self, message: EpisodeStatus) -> None:
        if self._stopwatch is None and message.step >= WARM_UP_STEPS:
            self._stopwatch = Stopwatch(message.step, self._bridge_pid, os.getpid())
        elif message.step >= self._last_step and self.speed is None:
            self.speed = self._stopwatch.read(message.step)


def _spin_until(executor: SingleThreadedExecutor, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the graph did not get there within {TIMEOUT} s")
        executor.spin_once(timeout_sec=0.1)

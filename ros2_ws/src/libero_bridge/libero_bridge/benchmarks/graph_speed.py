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
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from substep_interfaces.msg import ActiveSubstep, EpisodeStatus

from libero_bridge.benchmarks.timing import WARM_UP_STEPS, Speed, Stopwatch, motions
from libero_bridge.simulation import Simulation, SimulationConfig
from substep_core.chunk import Chunk
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.observation import Observation
from substep_core.registry import Registry
from substep_core.ros import topics
from substep_policy.node import PolicyNode
from substep_policy.registry import PolicyRegistry, PolicySettings

HORIZON = 8
TIMEOUT = 180.0  # s


class CirclingPolicy:
    """Takes no time: what is measured is the way of the observation to it and of its chunk to the arm."""

    name, device, dtype, requires_scene = "circling", "cpu", "float32", True
    horizon = HORIZON

    def __init__(self, settings: PolicySettings | None = None) -> None:
        self.robot = load_robot(LIBERO_PANDA)
        self.cameras = self.robot.camera_names
        self._motions = motions(100).astype(np.float32)

    def start_substep(self, instruction: str, task: str) -> None:
        pass

    def predict(self, observation: Observation) -> Chunk:
        first = (observation.stamp // self.robot.period_ns) % (len(self._motions) - HORIZON)
        return Chunk(self._motions[first : first + HORIZON])


def run(suite: str, task_index: int, steps: int, assets: str) -> None:
    """Prints both speeds and their ratio."""
    print(f"{suite} {task_index}, two 128x128 cameras, chunks of {HORIZON} actions, {steps} steps, assets: {assets}")
    direct = direct_speed(suite, task_index, steps, assets)
    through_ros = graph_speed(suite, task_index, steps, assets)
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
    command = [sys.executable, "-m", "substep_bridge.node", "--ros-args", *arguments]
    bridge = subprocess.Popen(command, env=os.environ)
    try:
        return _drive(steps, bridge.pid)
    finally:
        bridge.terminate()
        bridge.wait()


def _drive(steps: int, bridge_pid: int) -> Speed:
    rclpy.init()
    registry = PolicyRegistry(Registry("policy", "", {CirclingPolicy.name: CirclingPolicy}))
    chosen = Parameter("policy", value=CirclingPolicy.name)
    policy, driver = PolicyNode(registry, parameter_overrides=[chosen]), _Driver(steps, bridge_pid)
    executor = SingleThreadedExecutor()
    for node in (policy, driver):
        executor.add_node(node)
    try:
        driver.bring_up_bridge(executor)  # first: the policy is activated for the robot that it publishes
        for transition in (policy.trigger_configure, policy.trigger_activate):
            if transition() is not TransitionCallbackReturn.SUCCESS:
                raise RuntimeError(f"the policy node's {transition.__name__} failed; its log says why")
        driver.start()
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
        self._substeps = topics.ACTIVE_SUBSTEP.publisher(self)
        self._transitions = self.create_client(ChangeState, "bridge/change_state")
        topics.EPISODE_STATUS.subscription(self, self._on_status)

    def bring_up_bridge(self, executor: SingleThreadedExecutor) -> None:
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            _spin_until(executor, self._transitions.service_is_ready)
            future = self._transitions.call_async(ChangeState.Request(transition=Transition(id=transition)))
            _spin_until(executor, future.done)
            if not future.result().success:
                raise RuntimeError("the bridge did not come up; its log says why")

    def start(self) -> None:
        self._activate()
        self.create_timer(1.0, self._activate)  # a sign of life

    def _activate(self) -> None:
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

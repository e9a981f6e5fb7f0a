"""Control steps per second through ROS in lockstep, beside the same loop in one process.

Without ROS a plain loop calls the policy of the graph around ``Simulation``.
"""

from __future__ import annotations

import contextlib
import os

from libero_bridge.benchmarks.timing import WARM_UP_STEPS, Speed, Stopwatch
from libero_bridge.simulation import Simulation, SimulationConfig
from training.bench.graph_loop import HORIZON, CirclingPolicy, running_loop


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
    with running_loop({"suite": suite, "task_index": task_index, "assets": assets}) as loop:
        loop.advance(WARM_UP_STEPS)
        return loop.measure(steps)

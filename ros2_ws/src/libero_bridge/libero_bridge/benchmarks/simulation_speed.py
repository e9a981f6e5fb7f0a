"""Control steps per second of the simulated world, beside LIBERO's own loop on the same task.

Both render two 128x128 cameras in each step; LIBERO's loop is ``OffScreenRenderEnv`` as its evaluations use it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from libero_bridge import libero_setup
from libero_bridge.benchmarks.timing import Speed, measure
from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import LiberoSource


def run(suite: str, task_index: int, steps: int, assets: str) -> None:
    """Prints a table of the embedded assets, and of those named where they are others."""
    print(f"{suite} {task_index}, two 128x128 cameras, {steps} steps, {os.cpu_count()} processors")
    for source in dict.fromkeys((libero_setup.EMBEDDED_ASSETS, assets)):
        ours = simulation_speed(suite, task_index, steps, source)
        plain = plain_speed(suite, task_index, min(steps, 60), source)
        print(f"assets: {source}")
        print(f"  Simulation                 {ours}")
        print(f"  LIBERO OffScreenRenderEnv  {plain}")
        print(f"  ratio, wall and processor  {ours.wall / plain.wall:7.1f}   {ours.processor / plain.processor:6.1f}")


def simulation_speed(suite: str, task_index: int, steps: int, assets: str) -> Speed:
    with contextlib.closing(Simulation(SimulationConfig(suite, task_index, assets=assets))) as world:
        world.reset()
        return measure(world.step, steps)


def plain_speed(suite: str, task_index: int, steps: int, assets: str) -> Speed:
    with plain_environment(suite, task_index, assets) as environment:
        return measure(environment.step, steps)


@contextlib.contextmanager
def plain_environment(suite: str, task_index: int, assets: str) -> Iterator:
    """LIBERO's own environment, reset to the first initial state."""
    libero_setup.use_assets(assets)
    from libero.libero.envs import OffScreenRenderEnv

    task = LiberoSource().task(suite, task_index)
    environment = OffScreenRenderEnv(bddl_file_name=str(task.bddl_file), camera_heights=128, camera_widths=128)
    environment.seed(0)
    environment.reset()
    environment.set_init_state(task.init_states()[0])
    try:
        yield environment
    finally:
        environment.close()

"""Control steps per second of the simulated world, beside LIBERO's own loop on the same task.

Both render two 128x128 cameras in each step; LIBERO's loop is ``OffScreenRenderEnv`` as its evaluations use it. And as
evaluations in one process play: images once a chunk, with the arm's control compiled and as robosuite's Python.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from unittest.mock import patch

import numpy as np

from libero_bridge import libero_setup
from libero_bridge.benchmarks.timing import Speed, measure
from libero_bridge.control_loop import ControlledArm
from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import LiberoSource

CHUNK = 8  # steps


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
        print(f"  images every {CHUNK} steps       {chunk_speed(suite, task_index, steps, source)}")
        with patch.object(ControlledArm, "drive", ControlledArm.drive_as_robosuite):
            print(f"  with robosuite's controller{chunk_speed(suite, task_index, steps, source)}")


def simulation_speed(suite: str, task_index: int, steps: int, assets: str) -> Speed:
    with contextlib.closing(Simulation(SimulationConfig(suite, task_index, assets=assets))) as world:
        world.reset()
        return measure(world.step, steps)


def chunk_speed(suite: str, task_index: int, steps: int, assets: str) -> Speed:
    """Images are rendered at the first step of each chunk."""
    with contextlib.closing(Simulation(SimulationConfig(suite, task_index, assets=assets, render=False))) as world:
        world.reset()

        def step(action: np.ndarray) -> None:
            if world.step_count % CHUNK == 0:
                world.images(world.config.cameras)
            world.step(action)

        return measure(step, steps)


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

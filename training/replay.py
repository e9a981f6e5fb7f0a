"""Frames of recorded demonstrations, made again from their start and their actions."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from libero_bridge.placement import Placement
from libero_bridge.simulation import Simulation, SimulationConfig

PROPRIO_TOLERANCE = 1e-3  # metres and radians; the same machine gives the same bits


class ReplayError(ValueError):
    """A recording that does not give the motion that was recorded; the message says by how much."""


@dataclass(frozen=True)
class ReplayConfig:
    """How frames are rendered."""

    image_size: int = 128
    cameras: tuple[str, ...] = ("agentview", "eye_in_hand")
    assets: str = "embedded"


def replay(file: Path, demo: str, config: ReplayConfig) -> Mapping[str, np.ndarray]:
    """Camera name -> (T, S, S, 3) uint8, upright, of one demonstration of a recorded file.

    Raises:
        ReplayError: the file holds no recording, or the arm went elsewhere than when it was recorded.
    """
    with h5py.File(file) as content:
        group = content["data"][demo]
        if "placement" not in group.attrs:
            raise ReplayError(f"{file}: data/{demo} has neither frames nor the start of a recording to make them from")
        suite, task_index = str(content["data"].attrs["suite"]), int(content["data"].attrs["task_index"])
        start = int(group.attrs["init_state"]), int(group.attrs["seed"]), Placement(group.attrs["placement"])
        actions = group["actions"][:]
        recorded = group["obs/ee_pos"][:]
    simulation = _simulation(suite, task_index, config, threading.get_ident())
    observation = simulation.reset(*start)
    shape = (len(actions), config.image_size, config.image_size, 3)
    frames = {camera: np.empty(shape, np.uint8) for camera in config.cameras}
    for step, action in enumerate(actions):
        for camera, images in frames.items():
            images[step] = observation.images[camera]
        error = float(np.abs(observation.proprio[:3] - recorded[step]).max())
        if error > PROPRIO_TOLERANCE:
            raise ReplayError(
                f"{file}: data/{demo}: the arm is {error:.4f} m off at timestep {step} of the replay; "
                "has the simulated world changed since it was recorded?"
            )
        observation = simulation.step(action)
    return frames


@lru_cache(maxsize=1)
def _simulation(suite: str, task_index: int, config: ReplayConfig, thread: int) -> Simulation:
    """The task that was replayed last, kept for the next demonstration. An OpenGL context belongs to one thread."""
    simulation = Simulation(
        SimulationConfig(
            suite,
            task_index,
            assets=config.assets,
            image_size=(config.image_size, config.image_size),
            cameras=config.cameras,
            scene=False,
        )
    )
    simulation.reset()  # makes the OpenGL context, whose own clean-up at exit must come after ours
    atexit.register(simulation.close)
    return simulation

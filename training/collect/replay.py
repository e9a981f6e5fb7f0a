"""Frames and states of recorded demonstrations, made again from their start and their actions."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from libero_bridge.simulation import Simulation, SimulationConfig
from substep_core.episode import Placement
from training.collect.looks import LookVariation
from training.data.libero_layout import ARM_DISTANCE, TaskReference, init_state_index

PROPRIO_TOLERANCE = 1e-3  # metres and radians; the same machine gives the same bits


class ReplayError(ValueError):
    """A recording that does not give the motion that was recorded; the message says by how much."""


@dataclass(frozen=True)
class RenderConfig:
    """How frames are rendered.

    Attributes:
        cameras: names; None: all of the robot's.
        looks: what each demonstration's look is drawn from; None: the task's own.
    """

    image_size: int = 128
    cameras: tuple[str, ...] | None = None
    assets: str = "embedded"
    looks: LookVariation | None = None


@dataclass(frozen=True)
class Replayed:
    """An episode of T timesteps, everything before its action.

    Attributes:
        frames: camera name -> (T, S, S, 3) uint8, upright.
        states: (T, 1 + nq + nv) time, qpos and qvel of the simulated world.
        joint_states: (T, J) rad, of the arm's J joints.
        robot_states: (T, F + 7) finger joints (m), position (m) and xyzw quaternion of the hand.
    """

    frames: Mapping[str, np.ndarray]
    states: np.ndarray
    joint_states: np.ndarray
    robot_states: np.ndarray


def replay(file: Path, demo: str, config: RenderConfig) -> Replayed:
    """One demonstration of a recorded file.

    Raises:
        ReplayError: the file holds no recording, or the arm went elsewhere than when it was recorded.
    """
    recorded = read_recorded(file, demo)
    shape = (len(recorded.actions), config.image_size, config.image_size, 3)
    states, joints, robot = [], [], []
    simulation = recorded.restart(config)
    frames = {camera: np.empty(shape, np.uint8) for camera in simulation.contract.camera_names}
    for step, action in enumerate(recorded.actions):
        recorded.check(step, simulation)
        for camera, images in frames.items():
            images[step] = simulation.render(camera, config.image_size, config.image_size)
        states.append(simulation.state())
        joints.append(list(simulation.arm_joint_positions().values()))
        robot.append(simulation.robot_state())
        simulation.step(action)
    return Replayed(frames, np.stack(states), np.array(joints), np.stack(robot))


@dataclass(frozen=True)
class RecordedEpisode:
    """What a recorded file says of an episode of T timesteps.

    Attributes:
        demo: its name.
        start: initial state, seed, placement and the arm's distance from its home, as ``Simulation.reset`` takes them.
        actions: (T, A) as carried out.
        positions: (T, 3) m, the hand before each of them.
        source: file and place in it, for messages.
    """

    task: TaskReference
    demo: str
    start: tuple[int, int, Placement, float]
    actions: np.ndarray
    positions: np.ndarray
    source: str

    def restart(self, config: RenderConfig) -> Simulation:
        """The world at the beginning of the episode. It renders when it is asked to."""
        simulation = _open_world(threading.get_ident()).open(self.task, config)
        task = self.task
        simulation.show(config.looks and config.looks.draw(task.suite, str(task.index), self.demo))
        simulation.reset(*self.start)
        return simulation

    def check(self, step: int, simulation: Simulation) -> None:
        """Raises: ReplayError: before action ``step`` the arm is not where it was."""
        error = float(np.abs(simulation.grip_site_pose().position - self.positions[step]).max())
        if error > PROPRIO_TOLERANCE:
            raise ReplayError(
                f"{self.source}: the arm is {error:.4f} m off at timestep {step} of the replay; "
                "has the simulated world changed since it was recorded?"
            )


def read_recorded(file: Path, demo: str) -> RecordedEpisode:
    """Raises: ReplayError: the file holds no recording."""
    with h5py.File(file) as content:
        data, group = content["data"], content["data"][demo]
        if "placement" not in group.attrs:
            raise ReplayError(f"{file}: data/{demo} has neither frames nor the start of a recording to make them from")
        return RecordedEpisode(
            task=TaskReference.of(data.attrs),
            demo=demo,
            start=(
                init_state_index(group.attrs),
                int(group.attrs["seed"]),
                Placement(group.attrs["placement"]),
                float(group.attrs.get(ARM_DISTANCE, 0.0)),
            ),
            actions=group["actions"][:],
            positions=group["obs/ee_pos"][:],
            source=f"{file}: data/{demo}",
        )


class _OpenWorld:
    """The task that was replayed last, kept for the next demonstration and given up for the next task."""

    def __init__(self) -> None:
        self._key: tuple[TaskReference, RenderConfig] | None = None
        self._simulation: Simulation | None = None

    def open(self, task: TaskReference, config: RenderConfig) -> Simulation:
        if self._key != (task, config):
            is_first = self._simulation is None
            self.close()
            self._simulation = _build(task, config)
            self._key = task, config
            if is_first:  # the OpenGL context is made by now: its own clean-up at exit must come after ours
                atexit.register(self.close)
        return self._simulation

    def close(self) -> None:
        if self._simulation is not None:
            self._simulation.close()


@lru_cache(maxsize=1)
def _open_world(thread: int) -> _OpenWorld:
    """An OpenGL context belongs to one thread."""
    return _OpenWorld()


def _build(task: TaskReference, config: RenderConfig) -> Simulation:
    size = (config.image_size, config.image_size)
    simulation = Simulation(
        SimulationConfig(
            task.suite,
            task.index,
            assets=config.assets,
            image_size=size,
            cameras=config.cameras,
            render=False,
            scene=False,
            tasks_from=task.tasks_from,
        )
    )
    simulation.reset()
    simulation.render(simulation.contract.camera_names[0], *size)
    return simulation

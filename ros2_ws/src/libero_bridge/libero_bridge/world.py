"""LIBERO behind the bridge: one simulated task at a time, replaced when another one is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from libero_bridge import parameters as libero_parameters
from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import ROBOT
from substep_bridge.world import Frame, Sensed
from substep_core.contract import RobotContract, load_robot
from substep_core.episode import EpisodeStart, EpisodeState
from substep_core.protocol import HoldKind, Reason
from substep_core.ros.parameters import NodeParameters


class LiberoWorld:
    """Implements ``substep_bridge.world.World``."""

    simulated = True
    hindrance = Reason(HoldKind.NONE)

    def __init__(self, config: SimulationConfig) -> None:
        """Raises: ValueError: unknown suite, task or asset folder; the message names it."""
        self._simulation = Simulation(replace(config, render=False))  # images are rendered when they are looked at
        self._observation = None

    @property
    def contract(self) -> RobotContract:
        return self._simulation.contract

    @property
    def workspace_origin(self) -> np.ndarray:
        return self._simulation.workspace_origin

    @property
    def episode(self) -> EpisodeState:
        world = self._simulation
        return EpisodeState(
            instruction=world.instruction,
            step=world.step_count,
            horizon=world.config.horizon,
            success=world.success,
            suite=world.suite,
            task_index=world.task_index,
        )

    def reset(self, start: EpisodeStart) -> None:
        current = self._simulation
        task = start.suite or current.suite, current.task_index if start.task_index is None else start.task_index
        simulation = current
        if task != (current.suite, current.task_index):
            config = replace(current.config, suite=task[0], task_index=task[1])
            simulation = Simulation(config, self._observation.stamp)
        try:
            observation = simulation.reset(start.init_state, start.seed, start.placement)
        except ValueError:
            if simulation is not current:
                simulation.close()
            raise
        if simulation is not current:
            current.close()
        self._simulation, self._observation = simulation, observation

    def step(self, action: np.ndarray, under_task: bool = True, counts: bool = True) -> None:
        self._observation = self._simulation.step(action, under_task, counts)

    def sense(self) -> Sensed:
        seen = self._observation
        return Sensed(seen.stamp, self._simulation.readings(), _Views(self._simulation), seen.scene)

    def intrinsics(self, camera: str) -> np.ndarray:
        size = self.contract.camera(camera)
        return self._simulation.intrinsics(camera, size.height, size.width)

    @property
    def description(self) -> str:
        return self._simulation.robot_description()

    def frames(self) -> list[Frame]:
        return self._simulation.frames()

    def close(self) -> None:
        self._simulation.close()


class _Views(Mapping[str, np.ndarray]):
    """Camera name -> its image of this instant, (H, W, 3) uint8 RGB, rendered when it is first looked at."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation, self._stamp = simulation, simulation.stamp
        self._seen: dict[str, np.ndarray] = {}

    def __getitem__(self, camera: str) -> np.ndarray:
        """Raises: RuntimeError: the world has moved on, and it was not looked at in time."""
        if camera not in self._seen:
            if self._simulation.stamp != self._stamp:
                raise RuntimeError(f"camera {camera} cannot show {self._stamp} ns: now it is {self._simulation.stamp}")
            self._seen |= self._simulation.images((camera,))
        return self._seen[camera]

    def __iter__(self) -> Iterator[str]:
        return iter(self._simulation.config.cameras)

    def __len__(self) -> int:
        return len(self._simulation.config.cameras)


class LiberoWorlds:
    """Implements ``substep_bridge.world.WorldFactory``."""

    def __init__(self) -> None:
        self.robot = load_robot(ROBOT)

    def declare(self, parameters: NodeParameters) -> None:
        libero_parameters.declare(parameters)

    def build(self, parameters: NodeParameters) -> tuple[LiberoWorld, EpisodeStart]:
        config, start = libero_parameters.read(parameters)
        try:
            return LiberoWorld(config), start
        except ValueError as error:
            raise ValueError(f"parameters tasks_from, suite, task_index, assets: {error}") from error

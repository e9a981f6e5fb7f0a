"""A world for the two arms: joints follow their commands, a task is done when both arms are where it wants them."""

from __future__ import annotations

import numpy as np

from substep_bridge.world import Frame, Sensed
from substep_core.contract import Joints, Readings, load_robot
from substep_core.episode import EpisodeStart, EpisodeState
from substep_core.protocol import HoldKind, Reason
from substep_core.ros.parameters import NodeParameters
from two_arms.tasks import INSTRUCTIONS, SUITE, goal_of

HORIZON = 300
REACHED = 0.02  # rad


class TwoArmWorld:
    """Implements ``substep_bridge.world.World``."""

    simulated = True
    hindrance = Reason(HoldKind.NONE)

    def __init__(self, task: int) -> None:
        self.contract = load_robot("two_arms")
        self.workspace_origin = np.zeros(3)
        self._names = [name for group in self.contract.state for name in group.source.names]
        self._task, self._stamp = task, 0

    @property
    def episode(self) -> EpisodeState:
        return EpisodeState(INSTRUCTIONS[self._task], self._step, HORIZON, self._success, SUITE, self._task)

    def reset(self, start: EpisodeStart) -> None:
        task = self._task if start.task_index is None else start.task_index
        if task >= len(INSTRUCTIONS):
            raise ValueError(f"task {task} does not exist: expected 0 to {len(INSTRUCTIONS) - 1}")
        self._task, self._step, self._success = task, 0, False
        self._joints = np.random.default_rng(start.seed).uniform(-0.2, 0.2, self.contract.action_width)
        self._stamp += self.contract.period_ns

    def step(self, action: np.ndarray, under_task: bool = True, counts: bool = True) -> None:
        self._joints += 0.6 * (action - self._joints)
        self._stamp += self.contract.period_ns
        self._step += counts
        if under_task:
            self._success = self._success or bool(np.abs(self._joints - goal_of(self._task)).max() < REACHED)

    def sense(self) -> Sensed:
        joints = Joints(dict(zip(self._names, self._joints.tolist(), strict=True)))
        images = {camera.name: self._picture(camera.height, camera.width) for camera in self.contract.cameras}
        return Sensed(self._stamp, Readings({}, {"joint_states": joints}), images)

    def _picture(self, height: int, width: int) -> np.ndarray:
        shades = np.clip(127 + 40 * np.resize(self._joints, width), 0, 255).astype(np.uint8)
        return np.broadcast_to(shades[None, :, None], (height, width, 3)).copy()

    def intrinsics(self, camera: str) -> np.ndarray:
        return np.array([[40.0, 0.0, 23.5], [0.0, 40.0, 15.5], [0.0, 0.0, 1.0]])

    description = ""

    def frames(self) -> tuple[Frame, ...]:
        return ()

    def close(self) -> None:
        pass


class TwoArmWorlds:
    """Implements ``substep_bridge.world.WorldFactory``."""

    def __init__(self) -> None:
        self.robot = load_robot("two_arms")

    def declare(self, parameters: NodeParameters) -> None:
        parameters.declare("task_index", 0, "which task", bounds=(0, 100))
        parameters.declare("seed", 0, "of where the joints start", bounds=(0, 2**31 - 1))

    def build(self, parameters: NodeParameters) -> tuple[TwoArmWorld, EpisodeStart]:
        world = TwoArmWorld(parameters.value("task_index"))
        start = EpisodeStart(seed=parameters.value("seed"))
        world.reset(start)
        return world, start

"""A policy that knows where the arms should be: chunks of 25 actions that lead there slowly."""

from __future__ import annotations

import numpy as np

from substep_core.chunk import NO_EOS, Chunk
from substep_core.contract import load_robot
from substep_core.observation import Observation
from two_arms.tasks import POSES

CHUNK = 25
STRIDE = 0.1  # rad a step


class Reach:
    """Implements ``substep_policy.policy.Policy``."""

    name, device, dtype = "reach", "cpu", "float32"
    requires_scene = False
    cameras = ("overhead",)
    horizon = CHUNK

    def __init__(self) -> None:
        self.robot = load_robot("two_arms")

    def start_substep(self, instruction: str, task: str) -> None:
        self._words = instruction

    def predict(self, observation: Observation) -> Chunk:
        goal = np.array(observation.proprio)
        for arm, pose in POSES.get(self._words, {}).items():
            goal[self.robot.state_slice(self.robot.state_group(arm))] = pose
        steps = np.arange(1, CHUNK + 1)[:, None] * STRIDE
        way = goal - observation.proprio
        actions = observation.proprio + np.sign(way) * np.minimum(np.abs(way), steps)
        arrived = int(np.argmax(np.abs(actions - goal).max(axis=1) < 1e-6)) + 6  # the arms lag behind
        ends = arrived < CHUNK
        actions = actions[: arrived + 1] if ends else actions
        probabilities = np.zeros(len(actions), np.float32)
        probabilities[-1] = ends
        return Chunk(actions.astype(np.float32), probabilities, len(actions) - 1 if ends else NO_EOS)


def load(settings) -> Reach:
    return Reach()

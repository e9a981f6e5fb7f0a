"""The demonstrator takes over where something else has brought a vessel into the microwave's opening."""

from __future__ import annotations

import numpy as np
import pytest

from libero_bridge.simulation import Simulation, SimulationConfig
from substep_core.chunk import Chunk
from substep_core.observation import Observation
from substep_core.plan import Substep
from substep_demonstrator import Demonstrator
from tests.given_plan import carry_out

MUG, MICROWAVE = "white_yellow_mug_1", "microwave_1"
PLAN = [
    Substep("pick up the yellow and white mug", "the gripper holds the yellow and white mug in the air"),
    Substep("place the yellow and white mug in the microwave", "the yellow and white mug is in the microwave"),
]

pytestmark = pytest.mark.xdist_group("demonstrator")


class Successor(Demonstrator):
    """Becomes another demonstrator, who has seen nothing of what was before, on the way into the microwave."""

    def __init__(self) -> None:
        super().__init__()
        self.heights: list[float] = []  # of the hand from then on, as long as it holds the mug

    def start_substep(self, instruction: str, task: str) -> None:
        super().start_substep(instruction, task)
        self._told = instruction, task

    def predict(self, observation: Observation) -> Chunk:
        scene = observation.scene
        way = np.linalg.norm((scene.objects[MUG].position - scene.objects[MICROWAVE].position)[:2])
        if not self.heights and way < 0.14:
            super().start_substep(*self._told)
        if MUG in scene.grasped and (self.heights or way < 0.14):
            self.heights.append(float(observation.proprio[2]))
        return super().predict(observation)


def test_a_vessel_on_its_way_in_goes_on_in() -> None:
    simulation = Simulation(SimulationConfig("libero_10", 9, render=False))
    try:
        policy = Successor()
        assert carry_out(simulation, policy, PLAN).finish.success
        assert len(policy.heights) > 3
        assert max(policy.heights) - policy.heights[0] < 0.06, "further up it would meet the microwave's ceiling"
        assert simulation.scene().predicates[f"in {MUG} {MICROWAVE}_heating_region"]
    finally:
        simulation.close()

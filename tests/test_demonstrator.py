"""The demonstrator in the simulated world: EOS only when the effect holds, recovery, noise, starts in mid-task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from libero_bridge.simulation import Simulation, SimulationConfig
from substep_core.chunk import Chunk
from substep_core.errors import ErrorCode
from substep_core.observation import Observation
from substep_core.plan import Substep
from substep_demonstrator import Demonstrator
from tests.given_plan import carry_out
from training.collect.variations import NoisyPolicy
from training.task_observer import ControlCommand

PICK = Substep("pick up the alphabet soup", "the gripper holds the alphabet soup in the air")
PLACE = Substep("place the alphabet soup in the basket", "the alphabet soup is in the basket")
GOAL = "in alphabet_soup_1 basket_1_contain_region"

pytestmark = pytest.mark.xdist_group("demonstrator")


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    """libero_object, task 0: the alphabet soup into the basket."""
    world = Simulation(SimulationConfig("libero_object", 0, render=False))
    yield world
    world.close()


def test_eos_comes_when_the_effect_holds(simulation: Simulation) -> None:
    held = carry_out(simulation, Demonstrator(), [PICK])
    assert held.finish.success and not held.success
    scene = simulation.scene()
    assert "alphabet_soup_1" in scene.grasped and scene.objects["alphabet_soup_1"].position[2] > 0.08

    placed = carry_out(simulation, Demonstrator(), [PICK, PLACE])
    assert placed.finish.success and placed.success
    scene = simulation.scene()
    assert scene.predicates[GOAL] and "alphabet_soup_1" not in scene.grasped
    assert np.abs(simulation.robot_state()[:2]).sum() > 0.06  # open


def test_actions_stay_in_range_and_noise_does_not_keep_it_from_picking_up(simulation: Simulation) -> None:
    actions = []
    noisy = NoisyPolicy(Demonstrator(), noise=0.2, seed=1)
    result = carry_out(simulation, noisy, [PICK], lambda _, command: actions.append(command.action))
    assert result.finish.success and "alphabet_soup_1" in simulation.scene().grasped
    assert np.abs(actions).max() <= 1


def test_a_bumped_object_is_followed(simulation: Simulation) -> None:
    def bump(*_: object) -> None:
        if simulation.step_count == 20:
            data = simulation._env.sim.data
            joint = simulation._env.objects_dict["alphabet_soup_1"].joints[-1]
            data.set_joint_qpos(joint, data.get_joint_qpos(joint) + np.array([0.05, 0.04, 0, 0, 0, 0, 0]))

    result = carry_out(simulation, Demonstrator(), [PICK], bump)
    assert result.finish.success and "alphabet_soup_1" in simulation.scene().grasped


class TakingOver(Demonstrator):
    """Has seen the beginning, and goes on when somebody else has closed the hand on the object."""

    def __init__(self) -> None:
        super().__init__()
        self.somebody, self.grippers = Demonstrator(), []

    def start_substep(self, instruction: str, task: str) -> None:
        super().start_substep(instruction, task)
        self.somebody.start_substep(instruction, task)
        self.has_begun = False

    def predict(self, observation: Observation) -> Chunk:
        if not self.has_begun:
            self.has_begun = True
            super().predict(observation)
        if not (self.grippers or observation.scene.grasped):
            return Chunk(self.somebody.predict(observation).actions)
        chunk = super().predict(observation)
        self.grippers.extend(chunk.actions[:, -1])
        return chunk


def test_what_somebody_else_has_grasped_is_not_let_go(simulation: Simulation) -> None:
    policy = TakingOver()
    result = carry_out(simulation, policy, [PICK])
    assert result.finish.success and "alphabet_soup_1" in simulation.scene().grasped
    assert len(policy.grippers) > 3 and min(policy.grippers) == 1


def test_what_is_carried_clears_a_rim_by_centimetres_so_that_who_learns_from_it_may_be_off_by_one(simulation) -> None:
    gaps = []

    def measure(*_: object) -> None:
        scene = simulation.scene()
        can, basket = scene.objects["alphabet_soup_1"], scene.objects["basket_1"]
        over_the_rim = 0.085 < np.linalg.norm(can.position[:2] - basket.position[:2]) < 0.13
        if over_the_rim and "alphabet_soup_1" in scene.grasped:
            gaps.append(can.position[2] + can.lower[2] - basket.position[2] - basket.upper[2])

    carry_out(simulation, Demonstrator(), [PICK, PLACE], measure)
    assert gaps and min(gaps) > 0.025


def test_placing_what_is_not_in_the_hand_picks_it_up_first(simulation: Simulation) -> None:
    result = carry_out(simulation, Demonstrator(), [PLACE])
    assert result.finish.success and result.success


def test_what_is_there_already_stays_there(simulation: Simulation) -> None:
    steps = Counter()

    def count(_: Observation, command: ControlCommand) -> None:
        steps[command.substep.index] += 1

    result = carry_out(simulation, Demonstrator(), [PICK, PLACE, PLACE], count)
    assert result.finish.success and result.success
    assert 0 < steps[2] < 10


def test_what_is_not_in_the_scene_is_refused_with_a_reason(simulation: Simulation) -> None:
    finish = carry_out(simulation, Demonstrator(), [Substep("pick up the wine bottle", "it is held")]).finish
    assert finish.code is ErrorCode.INVALID_PLAN and "the scene has no wine bottle" in finish.message


def test_what_the_hand_cannot_do_is_refused_with_a_reason(simulation: Simulation) -> None:
    finish = carry_out(simulation, Demonstrator(), [Substep("pick up the basket", "it is held")]).finish
    assert finish.code is ErrorCode.POLICY_FAILED
    assert "'pick up the basket': basket_1 is too wide for the hand" in finish.message

"""What a demonstration records, in a world of its own: what was told, what was meant, what is taught, where it ends."""

from __future__ import annotations

import numpy as np
import pytest

from substep_core.chunk import NO_EOS, Chunk
from substep_core.contract import load_robot
from substep_core.episode import Placement
from substep_core.errors import ErrorCode
from substep_core.observation import Observation
from tests.training.test_eval_lockstep import World
from training.collect.recording import DemonstrationStart, Recording, record_episode
from training.collect.settings import Variation
from training.lockstep import TaskResult

UNDISTURBED = Variation(disturbance=0)


class Bowl(World):
    """A world with a task of the library, which keeps what it is told. Its goal holds from ``goal`` on."""

    suite, instruction = "libero_goal", "put the bowl on the plate"

    def reset(self, init_state: int, seed: int, placement: Placement, arm_distance: float) -> Observation:
        self.told: list[np.ndarray] = []
        return self.observe()

    def step(self, action: np.ndarray, counts: bool = True) -> Observation:
        self.told.append(action)
        return super().step(action, counts)


class Scripted:
    """Moves at ``speed``: three chunks of two steps a substep, the last one with an EOS. ``wild`` of its chunks, the
    first ones, ask for more than a robot may be told."""

    name, robot, cameras, requires_scene = "scripted", load_robot("libero_panda"), (), True

    def __init__(self, speed: float = 0.3, wild: int = 0) -> None:
        self._speed, self._wild = speed, wild
        self._left = 0

    def start_substep(self, instruction: str, task: str) -> None:
        self._left = 3

    def predict(self, observation: Observation) -> Chunk:
        actions = np.full((2, 7), self._speed, np.float32)
        if self._wild:
            self._wild -= 1
            return Chunk(10 * actions)
        self._left -= 1
        return Chunk(actions, eos_index=NO_EOS if self._left else 1)


def record(world: Bowl, policy: Scripted, noise: float = 0.0) -> tuple[Recording | None, TaskResult]:
    return record_episode(world, policy, DemonstrationStart(0, 1, Placement.BENCHMARK, noise), UNDISTURBED)


@pytest.mark.parametrize("goal", [3, 12])
def test_the_plan_is_carried_out_to_its_end_and_no_further_whenever_the_goal_holds(goal: int):
    recording, result = record(Bowl(goal=goal), Scripted())
    assert [substep.instruction for substep in recording.substeps] == [
        "pick up the bowl",
        "place the bowl on the plate",
    ]
    assert recording.ends == (5, 11) and len(recording.actions) == result.steps == 12
    assert recording.taught.all() and recording.proprio.shape == (12, 8)


def test_a_goal_that_never_holds_and_a_horizon_that_is_too_near_give_no_demonstration():
    recording, result = record(Bowl(goal=13), Scripted())
    assert recording is None and result.finish.success
    recording, result = record(Bowl(goal=3, horizon=11), Scripted())
    assert recording is None and result.finish.code is ErrorCode.EPISODE_ENDED


def test_noise_is_in_what_the_world_is_told_and_not_in_what_is_taught():
    world = Bowl(goal=3)
    recording, _ = record(world, Scripted(speed=0.95), noise=0.2)
    assert np.array_equal(recording.actions, np.stack(world.told))
    assert (recording.taught_actions == np.float32(0.95)).all() and recording.taught.all()
    difference = recording.actions - recording.taught_actions
    assert (difference[:, :6] != 0).all() and not difference[:, 6].any(), "a gripper has no noise"
    assert np.abs(recording.actions).max() == 1.0, "within what may be told"


def test_the_hold_after_a_chunk_that_the_guard_rejects_is_recorded_and_not_taught():
    world = Bowl(goal=3)
    recording, result = record(world, Scripted(wild=2))
    assert len(result.rejections) == 2 and all("range" in reason.text for reason in result.rejections)
    assert recording.taught.tolist() == [False] * 2 + [True] * 12 and recording.ends == (7, 13)
    assert np.array_equal(recording.actions, np.stack(world.told))
    assert np.array_equal(recording.actions[:2], recording.taught_actions[:2])
    assert not recording.actions[:2, :6].any(), "it holds"


def test_what_the_guard_never_lets_through_is_no_demonstration():
    recording, result = record(Bowl(goal=3), Scripted(wild=3))
    assert recording is None and result.finish.code is ErrorCode.GUARD_LATCHED and result.steps == 2

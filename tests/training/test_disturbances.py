"""Collection variations: disturbances, a novice, missed grasps."""

from __future__ import annotations

import numpy as np
import pytest

from substep_core.chunk import Chunk
from substep_core.contract import load_robot
from substep_core.observation import Observation
from training.collect.settings import Variation
from training.collect.variations import DisturbedPolicy


class Still:
    """A policy that stands still with the gripper closed."""

    name, robot = "still", load_robot("libero_panda")

    def start_substep(self, instruction: str, task: str) -> None:
        pass

    def predict(self, observation: Observation) -> Chunk:
        return Chunk(np.array([[0, 0, 0, 0, 0, 0, 1]], np.float32))


def test_disturbances_move_the_arm_keep_the_gripper_and_are_told_apart():
    policy = DisturbedPolicy(Still(), Variation(disturbance=0.3, disturbance_steps=(4, 6)), seed=0)
    policy.start_substep("pick up the bowl", "")
    seen = Observation({}, np.zeros(8, np.float32))
    chunks = []
    for _ in range(50):
        chunk = policy.predict(seen)
        chunks.append((policy.is_disturbance(chunk), chunk))
    moved = [chunk for is_disturbance, chunk in chunks if is_disturbance]
    assert 5 < len(moved) < 30 and policy.name == "still"
    assert all(4 <= len(chunk.actions) <= 6 and not chunk.has_eos for chunk in moved)
    assert all(np.abs(chunk.actions[:, :3]).max() > 0 for chunk in moved)
    assert {float(chunk.actions[0, 6]) for chunk in moved if chunk is not chunks[0][1]} == {1.0}
    assert not any(np.abs(chunk.actions[:, :6]).any() for is_disturbance, chunk in chunks if not is_disturbance)


class Wandering(Still):
    """A policy that goes to the left, and takes the substep for done with its third chunk."""

    def __init__(self) -> None:
        self.told, self.asked = [], 0

    def start_substep(self, instruction: str, task: str) -> None:
        self.told.append(instruction)

    def predict(self, observation: Observation) -> Chunk:
        self.asked += 1
        ends = self.asked % 3 == 0
        return Chunk(np.tile(np.array([[0, 1, 0, 0, 0, 0, -1]], np.float32), (2, 1)), eos_index=1 if ends else -1)


def test_a_novice_disturbs_once_in_a_substep_for_some_chunks_and_never_ends_it():
    novice = Wandering()
    policy = DisturbedPolicy(Still(), Variation(disturbance=0.1, novice_chunks=(2, 5)), seed=0, novice=novice)
    seen = Observation({}, np.zeros(8, np.float32))
    lengths = []
    for substep in range(30):
        policy.start_substep(f"pick up bowl {substep}", "")
        who = []
        for _ in range(40):
            chunk = policy.predict(seen)
            who.append(policy.is_disturbance(chunk))
            assert not chunk.has_eos and bool(chunk.actions[0, 1]) is who[-1]
        lengths += map(len, "".join("x" if disturbed else " " for disturbed in who).split())
    assert novice.told[-1] == "pick up bowl 29" and novice.asked == sum(lengths)
    assert 20 < len(lengths) <= 30 and set(lengths) <= {1, 2, 3}, "where it says EOS, the demonstrator takes over"


def test_who_takes_over_from_a_novice_has_seen_the_beginning():
    """Two bowls are told apart by where they stand, and one of them is moved."""
    demonstrator, novice = Wandering(), Dropping()
    policy = DisturbedPolicy(demonstrator, Variation(disturbance=1, novice_chunks=(3, 3)), 0, novice)
    policy.start_substep("pick up the bowl next to the plate", "")
    seen = Observation({}, np.zeros(8, np.float32))
    played = [policy.is_disturbance(policy.predict(seen)) for _ in range(3)]
    assert played == [True, True, True] and demonstrator.asked == 1


class Dropping(Wandering):
    """A novice that opens the gripper with the second action of every chunk."""

    def predict(self, observation: Observation) -> Chunk:
        return Chunk(np.array([[0, 1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0, -1]], np.float32))


class Holding(Still):
    def predict(self, observation: Observation) -> Chunk:
        return Chunk(np.array([[0, 0, 0, 0, 0, 0, 1]], np.float32))


@pytest.mark.parametrize(
    ("instruction", "lets_go", "opens"),
    [("place the bowl on the plate", 0.0, 0), ("place the bowl on the plate", 1.0, 1), ("pick up the bowl", 0.0, 1)],
)
def test_a_novice_does_not_let_go_of_what_is_held_unless_it_may(instruction: str, lets_go: float, opens: int):
    variation = Variation(disturbance=0.2, novice="dropping", novice_chunks=(1, 1), novice_lets_go=lets_go)
    policy = DisturbedPolicy(Holding(), variation, 0, Dropping())
    policy.start_substep("pick up the bowl", "")
    seen, chunks = Observation({}, np.zeros(8, np.float32)), []
    policy.predict(seen)  # the policy itself has closed the gripper
    for _ in range(50):
        policy.start_substep(instruction, "")
        chunks += [policy.predict(seen) for _ in range(5)]
    played = [chunk.actions for chunk in chunks if chunk.actions[0, 1] == 1]
    assert len(played) > 10
    assert {int((actions[:, -1] < 0).sum()) for actions in played} == {opens}


class Grasping(Still):
    """A policy that closes the gripper with its third chunk since it was told what to do."""

    def __init__(self) -> None:
        self.told, self.asked = [], 0

    def start_substep(self, instruction: str, task: str) -> None:
        self.told.append((instruction, task))
        self.asked = 0

    def predict(self, observation: Observation) -> Chunk:
        self.asked += 1
        return Chunk(np.array([[0, 0, -0.1, 0, 0, 0, 1 if self.asked >= 3 else -1]], np.float32))


class Fist(Still):
    """A policy that closes the gripper at once, as for pushing, whatever it is told."""

    def predict(self, observation: Observation) -> Chunk:
        return Chunk(np.array([[0, 0, -0.1, 0, 0, 0, 1]], np.float32))


def test_only_a_grasp_misses_and_only_once_while_the_gripper_stays_closed():
    variation, seen = Variation(disturbance=0, missed_grasp=0.99), Observation({}, np.zeros(8, np.float32))
    for words, misses in (("push the plate to the front of the stove", 0), ("pick up the bowl", 1)):
        disturbed = DisturbedPolicy(Fist(), variation, seed=0)
        disturbed.start_substep(words, "")
        assert sum(disturbed.is_disturbance(disturbed.predict(seen)) for _ in range(20)) == misses


def test_a_missed_grasp_closes_elsewhere_and_the_demonstrator_begins_anew():
    variation = Variation(disturbance=0, missed_grasp=0.5)
    policy, seen, misses = Grasping(), Observation({}, np.zeros(8, np.float32)), []
    for seed in range(20):
        disturbed = DisturbedPolicy(policy, variation, seed)
        disturbed.start_substep("pick up the bowl", "clear the table")
        chunks = [disturbed.predict(seen) for _ in range(2)]
        assert not any(disturbed.is_disturbance(chunk) for chunk in chunks), "nothing closes yet"
        chunk = disturbed.predict(seen)
        if disturbed.is_disturbance(chunk):
            misses.append(chunk.actions)
            assert policy.told[-2:] == [("pick up the bowl", "clear the table")] * 2 and not chunk.has_eos
            assert not disturbed.is_disturbance(disturbed.predict(seen))
    assert 3 < len(misses) < 17
    for actions in misses:
        is_open = actions[:, 6] < 0
        assert is_open[0] and not is_open[-1] and actions[is_open, 2].min() > 0 and actions[-1, 2] > 0
        assert (actions[~is_open][:8, :6] == 0).all(), "the fingers have time to close"


def test_impossible_variations_are_refused():
    with pytest.raises(ValueError, match="must be in \\[0, 1\\]"):
        Variation(widened=2)
    with pytest.raises(ValueError, match="missed_grasp is 1, must be below"):
        Variation(missed_grasp=1)
    with pytest.raises(ValueError, match="novice is 'compact' and disturbance 0"):
        Variation(novice="compact", disturbance=0)
    with pytest.raises(ValueError, match="novice_lets_go is 0.5 and there is no novice"):
        Variation(novice_lets_go=0.5)
    with pytest.raises(ValueError, match="disturbance_steps"):
        Variation(disturbance_steps=(5, 2))
    with pytest.raises(ValueError, match="novice_chunks"):
        Variation(novice_chunks=(0, 2))

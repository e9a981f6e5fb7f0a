"""Several observations answered at once, by one policy that many episodes share."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from substep_core.chunk import Chunk
from substep_core.observation import Observation
from substep_core.protocol import ChunkRefused, RefusalKind
from substep_policy.heads import DiffusionHeadConfig
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.policy import Asked, Policy, answer, one_by_one, why_not_shared
from substep_policy.registry import POLICIES, PolicySettings
from substep_policy.session.shared_policy import PolicyCard, SharedPolicy

SETTINGS = PolicySettings(device="cpu")
TEXTS = "pick up the black bowl", "open the top drawer of the cabinet", "pick up the black bowl", ""
ROUNDING = {"rtol": 0, "atol": 1e-5}  # products of larger matrices are summed in another order


def observation(seed: int, cameras: tuple[str, ...]) -> Observation:
    random = np.random.default_rng(seed)
    images = {name: random.integers(0, 256, (32, 32, 3), np.uint8) for name in cameras}
    return Observation(images, random.normal(size=8).astype(np.float32))


@pytest.fixture
def policy(toy_checkpoint: Path) -> Policy:
    return POLICIES.load(str(toy_checkpoint), SETTINGS)


def questions(policy: Policy) -> list[Asked]:
    return [Asked(observation(seed, policy.cameras), text, "tidy up") for seed, text in enumerate(TEXTS)]


def test_a_batch_is_answered_as_its_observations_are_alone(policy: Policy):
    asked = questions(policy)
    together = policy.predict_batch(asked)
    alone = [answer(policy, each) for each in asked]
    assert len({chunk.actions.tobytes() for chunk in alone}) == len(asked), "they are different questions"
    for found, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(found.actions, expected.actions, **ROUNDING)
        np.testing.assert_allclose(found.eos_probabilities, expected.eos_probabilities, **ROUNDING)
        assert found.eos_index == expected.eos_index


def test_what_stands_beside_it_in_a_batch_of_the_same_size_is_no_matter(policy: Policy):
    """In every row."""
    asked = questions(policy)
    others = [replace(each, instruction="turn on the stove") for each in reversed(asked)]
    before = policy.predict_batch(asked)
    for row, each in enumerate(asked):
        again = policy.predict_batch([*others[:row], each, *others[row + 1 :]])
        np.testing.assert_array_equal(again[row].actions, before[row].actions)
        assert not any(
            np.array_equal(again[other].actions, before[other].actions) for other in range(len(asked)) if other != row
        )


def test_no_substep_needs_to_be_started_and_none_is_mixed_up(policy: Policy):
    asked = questions(policy)
    before = policy.predict_batch(asked)
    policy.start_substep(TEXTS[1], "")
    for found, expected in zip(policy.predict_batch(asked), before, strict=True):
        np.testing.assert_array_equal(found.actions, expected.actions)


@pytest.mark.parametrize("all_at_once", [True, False])
def test_what_one_is_refused_for_is_no_matter_to_the_others(policy: Policy, all_at_once: bool):
    good, blind, *_ = questions(policy)
    blind = replace(blind, observation=replace(blind.observation, images={}))
    wordy = replace(good, instruction="bowl " * 100)
    asked = [wordy, good, blind, good]
    long, first, dark, last = policy.predict_batch(asked) if all_at_once else one_by_one(policy, asked)
    assert isinstance(long, ChunkRefused) and long.reason.kind is RefusalKind.INSTRUCTION
    assert "has 101 tokens and the model takes 40" in str(long)
    assert isinstance(dark, ChunkRefused) and dark.reason.kind is RefusalKind.OBSERVATION
    assert "the model needs camera agentview, eye_in_hand" in str(dark)
    for found in (first, last):
        assert isinstance(found, Chunk)
        np.testing.assert_allclose(found.actions, answer(policy, good).actions, **ROUNDING)


def test_a_batch_of_refused_ones_alone_and_an_empty_one_are_answered(policy: Policy):
    asked = replace(questions(policy)[0], instruction="bowl " * 100)
    assert [type(found) for found in policy.predict_batch([asked, asked])] == [ChunkRefused] * 2
    assert policy.predict_batch([]) == []


def test_a_policy_that_draws_is_not_shared_and_says_why(toy_checkpoint: Path, toy_config: CompactModelConfig, policy):
    from substep_policy.checkpoints.plain import save_model
    from substep_policy.models.compact.model import build_compact

    assert why_not_shared(policy) == ""
    drawing = replace(toy_config, action_head=DiffusionHeadConfig(hidden_dim=16, blocks=1))
    save_model(toy_checkpoint, drawing, build_compact(drawing), step=5)
    assert json.loads((toy_checkpoint / "config.json").read_text())["action_head"]["type"] == "diffusion"
    assert "a DiffusionDecoder draws its actions" in why_not_shared(POLICIES.load(str(toy_checkpoint), SETTINGS))


class Here:
    """Implements ``Answering`` with a policy of this process."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def begin(self, instruction: str, task: str) -> None:
        self._policy.start_substep(instruction, task)

    def answer(self, asked: Asked) -> Chunk:
        assert asked.observation.scene is None, "the truth is not sent"
        (found,) = self._policy.predict_batch([asked])
        if isinstance(found, ChunkRefused):
            raise found
        return found


def test_episodes_that_share_a_policy_do_not_see_each_other(policy: Policy):
    episodes = [SharedPolicy(PolicyCard.of(policy), Here(policy)) for _ in range(2)]
    asked = questions(policy)
    for episode, each in zip(episodes, asked, strict=False):
        episode.start_substep(each.instruction, each.task)
    for episode, each in zip(episodes, asked, strict=False):
        chunk = episode.predict(each.observation)
        np.testing.assert_allclose(chunk.actions, answer(policy, each).actions, **ROUNDING)
    assert (episodes[0].name, episodes[0].robot, episodes[0].horizon) == (policy.name, policy.robot, policy.horizon)


def test_an_episode_of_a_shared_policy_refuses_as_the_policy_does(policy: Policy):
    episode = SharedPolicy(PolicyCard.of(policy), Here(policy))
    seen = questions(policy)[0].observation
    with pytest.raises(ValueError, match="predict was called before start_substep"):
        episode.predict(seen)
    episode.start_substep(TEXTS[0], "")
    with pytest.raises(ValueError, match="has 101 tokens"):
        episode.start_substep("bowl " * 100, "")
    with pytest.raises(ValueError, match="predict was called before start_substep"):
        episode.predict(seen)
    episode.start_substep(TEXTS[0], "")
    with pytest.raises(ChunkRefused) as refused:
        pickle.loads(pickle.dumps(episode)).predict(replace(seen, images={}))
    again = pickle.loads(pickle.dumps(refused.value))
    assert (again.reason, str(again)) == (refused.value.reason, str(refused.value))


def test_a_policy_that_says_nothing_of_it_is_not_shared():
    assert "does not say" in why_not_shared(POLICIES.load("demonstrator", SETTINGS))

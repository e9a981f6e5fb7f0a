"""Loading a policy as a run has it."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from substep_core.chunk import Chunk
from substep_core.contract import load_robot
from substep_core.observation import Observation
from substep_core.registry import Registry
from substep_policy.loading import load_policy
from substep_policy.registry import PolicyRegistry, PolicySettings


class OfFewWords:
    """Refuses every instruction but one, as ``refusal`` says."""

    name, device, dtype = "of_few_words", "cpu", "float32"
    robot = load_robot("libero_panda")
    cameras = ("agentview",)
    horizon = 1
    requires_scene = False

    def __init__(self, refusal: type[Exception]) -> None:
        self.refusal = refusal

    def start_substep(self, instruction: str, task: str) -> None:
        if instruction != "wave":
            raise self.refusal("I can only wave")

    def predict(self, observation: Observation) -> Chunk:
        return Chunk(np.zeros((1, self.robot.action_width), np.float32))


def registry(refusal: type[Exception]) -> PolicyRegistry:
    return PolicyRegistry(Registry("policy", "", {"mine": lambda settings: OfFewWords(refusal)}))


def test_a_policy_that_refuses_the_words_of_the_warm_up_is_loaded(caplog):
    with caplog.at_level(logging.INFO):
        policy = load_policy("mine", PolicySettings(), "", registry(ValueError))
    policy.start_substep("wave", "wave")
    assert "policy of_few_words is not warmed up, its first chunk may be slow: I can only wave" in caplog.text


def test_a_policy_that_breaks_at_its_warm_up_is_not():
    with pytest.raises(RuntimeError, match="I can only wave"):
        load_policy("mine", PolicySettings(), "", registry(RuntimeError))

"""A policy's first chunk: what does not fit its own contract is refused before a robot is told anything."""

from __future__ import annotations

import numpy as np
import pytest

from substep_core.chunk import Chunk
from substep_core.contract import load_robot
from substep_policy.loading import warm_up


class Narrow:
    name, robot, cameras, horizon, requires_scene = "narrow", load_robot("libero_panda"), ("agentview",), 4, False

    def __init__(self, adds: int) -> None:
        self.adds = adds  # values that it adds to its actions of 5

    def start_substep(self, instruction: str, task: str) -> None: ...

    def predict(self, observation) -> Chunk:
        return Chunk(np.zeros((4, 5), np.float32) + np.zeros(self.adds, np.float32))


def test_a_chunk_of_another_width_than_the_contracts_is_refused_with_both_widths():
    with pytest.raises(ValueError, match="policy narrow predicts actions of 5 values, .* libero_panda, they have 7"):
        warm_up(Narrow(adds=5))


def test_what_a_policy_fails_at_in_its_first_chunk_is_told_with_what_it_was_given():
    with pytest.raises(ValueError, match="policy narrow predicts nothing for .* 8 values of state; .* has 7 values"):
        warm_up(Narrow(adds=7))

"""Choosing the EOS threshold."""

from __future__ import annotations

import numpy as np
import pytest

from substep_core.chunk import NO_EOS
from substep_policy.eos import EosChoice
from training.checkpoints.calibrate import SubstepProbabilities, choose_threshold, score
from training.checkpoints.eos_score import predicted_end

C = 8


def substep(length: int, height: float, noise: float = 0.0, shift: int = 0, seed: int = 0) -> SubstepProbabilities:
    """Probabilities of a model that sees the end ``shift`` timesteps off with confidence ``height``."""
    random = np.random.default_rng(seed)
    times = np.arange(length + 3)[:, None] + np.arange(C)
    probabilities = np.where(times == length - 1 + shift, height, random.uniform(0, noise or 1e-9, times.shape))
    return SubstepProbabilities(probabilities, length)


def test_the_first_eos_of_the_first_chunk_that_has_one_is_the_end():
    indices = np.full(20, NO_EOS)
    indices[[3, 8, 16]] = [2, 5, 0]
    assert predicted_end(indices, 0, C) == 13
    assert predicted_end(indices, 3, C) == 5
    assert predicted_end(indices, 1, C) == NO_EOS


def test_a_clear_model_is_perfect_at_the_calibrated_threshold():
    result = choose_threshold([substep(30, 0.8, 0.3, seed=s) for s in range(5)], EosChoice.FIRST)
    assert 0.3 <= result.chosen.threshold <= 0.8
    assert (result.chosen.precision, result.chosen.recall, result.chosen.f1) == (1.0, 1.0, 1.0)
    assert 0.45 < result.chosen.threshold < 0.65, "in the middle of the thresholds that are as good"


@pytest.mark.parametrize(("shift", "right"), [(-3, True), (3, True), (-4, False), (4, False)])
def test_ends_count_within_three_timesteps(shift, right):
    assert (score([substep(30, 0.9, shift=shift)], 0.5, EosChoice.FIRST).recall == 1.0) is right


def test_too_low_is_premature_and_too_high_is_missed():
    substeps = [substep(40, 0.6, 0.3, seed=s) for s in range(3)]
    assert score(substeps, 0.005, EosChoice.FIRST).premature > 0.8
    assert score(substeps, 0.9, EosChoice.FIRST).missed == 1.0


def test_nothing_to_calibrate_on_is_an_error():
    with pytest.raises(ValueError, match="no held-out substeps"):
        choose_threshold([], EosChoice.FIRST)

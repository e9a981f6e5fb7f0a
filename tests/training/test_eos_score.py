"""Counting predicted substep ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from substep_core.chunk import NO_EOS
from training.checkpoints.eos_score import TOLERANCE, EndCounts, count_ends

lengths = st.integers(1, 40)
chunk_lengths = st.integers(1, 16)


def told_at(end: int, length: int, chunk_length: int) -> np.ndarray:
    """EOS indices of a policy that sees the end at timestep ``end``, however it is asked."""
    timesteps = np.arange(length + TOLERANCE)
    return np.where((end >= timesteps) & (end < timesteps + chunk_length), end - timesteps, NO_EOS)


@given(lengths, chunk_lengths)
def test_a_policy_that_knows_the_end_is_perfect(length: int, chunk_length: int):
    counts = count_ends(told_at(length - 1, length, chunk_length), length, chunk_length)
    assert counts == EndCounts(right=min(length, chunk_length))
    assert counts.precision == counts.recall == counts.f1 == 1.0


@given(st.integers(20, 40), st.integers(1, 8), st.integers(-12, 12))
def test_an_end_counts_by_how_far_it_is_off(length: int, chunk_length: int, off: int):
    counts = count_ends(told_at(length - 1 + off, length, chunk_length), length, chunk_length)
    if abs(off) <= TOLERANCE:
        assert counts.right == counts.trials
    elif off < 0:
        assert counts.premature == counts.trials
    else:
        assert counts.missed == counts.trials and counts.f1 == 0.0


@given(lengths, chunk_lengths, st.data())
def test_every_phase_of_asking_is_one_trial(length: int, chunk_length: int, data):
    count = length + data.draw(st.integers(0, TOLERANCE))
    index = st.integers(NO_EOS, chunk_length - 1)
    indices = np.array(data.draw(st.lists(index, min_size=count, max_size=count)))
    assert count_ends(indices, length, chunk_length).trials == min(chunk_length, length)


@given(*[st.integers(0, 50)] * 3)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(right: int, premature: int, missed: int):
    counts = EndCounts(right, premature, missed)
    precision, recall = counts.precision, counts.recall
    assert 0 <= precision <= 1 and 0 <= recall <= precision
    assert counts.f1 == pytest.approx(2 * precision * recall / (precision + recall) if right else 0.0)


def test_counts_add_up():
    assert EndCounts(1, 2, 3) + EndCounts(10, 20, 30) == EndCounts(11, 22, 33)

"""EOS rules against a brute-force reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from substep_core.chunk import NO_EOS
from substep_policy.eos import (
    EosChoice,
    EosConfigurationError,
    EosRule,
    EosSource,
    TokenEosRule,
    action_eos_probabilities,
    cut_chunk,
    find_eos,
    find_token_eos,
    token_eos_probabilities,
)
from substep_policy.heads import (
    DiffusionHeadConfig,
    InSequenceDiffusionConfig,
    L1HeadConfig,
    TokenHeadConfig,
    check_decoder,
)

A = 7
CHOICES = st.sampled_from(EosChoice)
THRESHOLDS = st.floats(0, 1, width=32)


def probabilities(shape):
    return npst.arrays(np.float32, shape, elements=st.floats(0, 1, width=32))


def reference(row, counts, choice):
    """First, or most probable, position that counts."""
    hits = [position for position in range(len(row)) if counts[position]]
    if not hits:
        return NO_EOS
    return hits[0] if choice is EosChoice.FIRST else max(hits, key=lambda position: (row[position], -position))


@given(probabilities(st.tuples(st.integers(1, 4), st.integers(1, 12))), THRESHOLDS, CHOICES)
def test_find_eos_is_the_first_or_most_probable_action_at_the_threshold(rows, threshold, choice):
    expected = [reference(row, row >= np.float32(threshold), choice) for row in rows]
    assert find_eos(rows, EosRule(threshold, choice)).tolist() == expected
    assert find_eos(torch.from_numpy(rows), EosRule(threshold, choice)).tolist() == expected


@given(st.integers(1, 3), st.integers(1, 4), CHOICES, st.none() | THRESHOLDS, st.integers(0, 2**31))
def test_token_eos_is_found_at_its_position_divided_by_the_action_dimension(batch, chunk, choice, threshold, seed):
    vocabulary, eos = 5, 2
    logits = np.random.default_rng(seed).normal(size=(batch, chunk * A, vocabulary)).astype(np.float32)
    rule = TokenEosRule(eos, A, threshold, choice)
    found = find_token_eos(torch.from_numpy(logits), rule).tolist()
    probability = token_eos_probabilities(torch.from_numpy(logits), rule).numpy()
    counts = logits.argmax(-1) == eos if threshold is None else probability >= np.float32(threshold)
    for row in range(batch):
        position = reference(probability[row], counts[row], choice)
        assert found[row] == (NO_EOS if position == NO_EOS else position // A)


def test_token_eos_of_the_documented_example():
    logits = torch.zeros(1, 56, 32000)
    logits[..., 1234] = 5.0
    logits[0, 42, 2] = logits[0, 50, 2] = 9.0
    assert find_token_eos(logits, TokenEosRule(eos_token_id=2, action_dim=A)).tolist() == [6]
    assert find_token_eos(logits[:, :42], TokenEosRule(eos_token_id=2, action_dim=A)).tolist() == [NO_EOS]
    logits[0, 50, 2] = 12.0
    assert find_token_eos(logits, TokenEosRule(2, A, choice=EosChoice.MOST_PROBABLE)).tolist() == [7]


def test_the_most_probable_is_told_where_probabilities_are_one_in_floating_point():
    log_odds = np.array([-3.0, 18.0, 25.0, 20.0], np.float32)
    saturated = torch.sigmoid(torch.from_numpy(log_odds)).numpy()
    assert saturated[1] == saturated[2] == 1.0
    rule = EosRule(0.5, EosChoice.MOST_PROBABLE)
    assert find_eos(saturated, rule, log_odds) == 2
    assert find_eos(torch.from_numpy(saturated), rule, torch.from_numpy(log_odds)) == 2
    assert find_eos(saturated, EosRule(0.5), log_odds) == 1
    logits = torch.zeros(1, 4 * A, 5)
    logits[0, A, 2], logits[0, 2 * A, 2], logits[0, 3 * A, 2] = 40.0, 60.0, 50.0
    assert find_token_eos(logits, TokenEosRule(2, A, 0.5, EosChoice.MOST_PROBABLE)).tolist() == [2]


def test_token_probabilities_per_action_are_the_largest_of_the_action():
    tokens = torch.tensor([[0.1] * 6 + [0.4], [0.2] * 7]).reshape(1, 14)
    torch.testing.assert_close(action_eos_probabilities(tokens, A), torch.tensor([[0.4, 0.2]]))


@given(st.integers(1, 10), st.data())
def test_a_chunk_is_cut_after_its_eos_and_keeps_every_probability(length, data):
    actions = np.arange(length * A, dtype=np.float32).reshape(length, A) / (length * A)
    eos_index = data.draw(st.integers(-1, length - 1))
    chunk = cut_chunk(actions, np.full(length, 0.5), eos_index)
    np.testing.assert_array_equal(chunk.actions, actions[: length if eos_index == NO_EOS else eos_index + 1])
    assert len(chunk.eos_probabilities) == length
    assert chunk.has_eos == (eos_index != NO_EOS)


@pytest.mark.parametrize("eos_index", [-2, 3])
def test_an_eos_outside_the_chunk_is_an_error(eos_index):
    with pytest.raises(ValueError, match=f"eos_index is {eos_index}, expected -1 or an action from 0 to 2"):
        cut_chunk(np.zeros((3, A)), np.zeros(3), eos_index)


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1])
def test_probabilities_that_are_none_are_an_error_not_a_missing_eos(bad):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        find_eos(np.array([0.1, bad]), EosRule(0.5))


def test_non_finite_logits_are_an_error():
    logits = torch.zeros(1, A, 4)
    logits[0, 3, 1] = math.nan
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        find_token_eos(logits, TokenEosRule(2, A))


@pytest.mark.parametrize("head", [L1HeadConfig(), DiffusionHeadConfig(), TokenHeadConfig(use_substep_eos=False)])
def test_token_eos_of_a_head_that_does_not_say_it_is_a_configuration_error(head):
    with pytest.raises(EosConfigurationError, match=f"action head '{head.type}' offers only head, none"):
        check_decoder(head, EosSource.TOKEN, takes_slot_content=False)
    for source in (EosSource.HEAD, EosSource.NONE):
        check_decoder(head, source, takes_slot_content=False)


def test_token_eos_with_the_token_head_is_fine():
    check_decoder(TokenHeadConfig(), EosSource.TOKEN, takes_slot_content=False)


def test_a_head_that_runs_actions_through_the_backbone_needs_one_that_takes_them():
    check_decoder(InSequenceDiffusionConfig(), EosSource.HEAD, takes_slot_content=True)
    with pytest.raises(ValueError, match="'in_sequence_diffusion' runs actions through the backbone, which takes none"):
        check_decoder(InSequenceDiffusionConfig(), EosSource.HEAD, takes_slot_content=False)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, math.nan])
def test_a_threshold_must_be_a_probability(threshold):
    with pytest.raises(EosConfigurationError, match="expected a probability from 0 to 1"):
        EosRule(threshold)
    with pytest.raises(EosConfigurationError, match="expected a probability from 0 to 1"):
        TokenEosRule(2, A, threshold)


def test_logits_that_do_not_divide_into_actions_are_an_error():
    with pytest.raises(ValueError, match=r"expected \(B, C \* 7, vocabulary\)"):
        find_token_eos(torch.zeros(1, 15, 10), TokenEosRule(2, A))
    with pytest.raises(ValueError, match="outside the vocabulary of 10 tokens"):
        find_token_eos(torch.zeros(1, 14, 10), TokenEosRule(10, A))

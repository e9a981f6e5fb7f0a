"""What a chunk's length can hide of the time that inference takes."""

from __future__ import annotations

import pytest

from substep_core.chunk_timing import ChunkTiming, delay_steps, shortfall

RATE = 20.0


@pytest.mark.parametrize(
    ("seconds", "steps"), [(0.0, 0), (0.001, 1), (0.05, 1), (0.1, 2), (0.15, 3), (0.151, 4), (0.3, 6), (0.8, 16)]
)
def test_a_delay_is_counted_in_control_steps_that_begin_within_it(seconds, steps):
    assert delay_steps(seconds, RATE) == steps


@pytest.mark.parametrize(
    ("horizon", "seconds", "hidden"),
    [
        (8, 0.1, True),
        (8, 0.15, True),
        (8, 0.2, True),
        (8, 0.3, False),
        (16, 0.3, True),
        (16, 0.8, False),
        (32, 0.8, True),
    ],
)
def test_a_chunk_hides_a_delay_of_half_its_length(horizon, seconds, hidden):
    timing = ChunkTiming("replace", asks_ahead=True, needs_guidance=False, inference_time=seconds)
    assert (timing.shortfall(horizon, RATE) == "") is hidden


def test_what_cannot_be_hidden_is_said_with_its_numbers():
    why = shortfall(8, 6, RATE)
    assert "chunks of 8 actions hide 4 control steps (0.2 s)" in why
    assert "takes 6 (0.3 s)" in why and "stands still 33% of the time" in why
    assert "12 actions or more, or inference within 0.2 s" in why


def test_where_chunks_come_in_turn_nothing_is_to_be_hidden():
    timing = ChunkTiming("in_turn", asks_ahead=False, needs_guidance=False, inference_time=0.8)
    assert timing.shortfall(8, RATE) == ""

"""Functions that are timed by turns."""

from __future__ import annotations

from substep_policy.benchmarks.timing import measure_by_turns


def test_a_warm_up_may_be_longer_than_what_is_timed_and_is_not_part_of_it():
    turns = [[], []]
    times = measure_by_turns([turn.append for turn in turns], turns=2, warm_up=5)
    assert times.shape == (2, 2) and (times > 0).all()
    assert turns == [[0, 1, 2, 3, 4, 0, 1]] * 2

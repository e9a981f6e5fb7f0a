"""What is played where chunks meet: each rule beside its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest

from substep_bridge.joining import JOINING_RULES, JoiningSettings, Meeting, load_joining
from substep_core.contract import load_robot
from substep_core.registry import RegistryError

ROBOT = load_robot("libero_panda")
GRIPPER = ROBOT.action_slice(ROBOT.gripper).start


def chunk(values, gripper=-1.0) -> np.ndarray:
    actions = np.zeros((len(values), ROBOT.action_width), np.float32)
    actions[:, 0] = values
    actions[:, GRIPPER] = gripper
    return actions


def joined(name: str, queued, *predictions, **settings) -> np.ndarray:
    rule = load_joining(name, JoiningSettings(**settings)).rule
    return rule.join(Meeting(ROBOT, queued, predictions))


@pytest.mark.parametrize("name", JOINING_RULES.names)
def test_where_nothing_was_queued_the_chunk_is_played_as_it_is(name):
    new = chunk([0.1, 0.2, 0.3], gripper=1.0)
    np.testing.assert_array_equal(joined(name, new[:0], new), new)


@pytest.mark.parametrize("name", JOINING_RULES.names)
def test_the_newest_chunk_says_where_the_substep_ends(name):
    old, new = chunk([0.5] * 6), chunk([0.1, 0.2])
    assert len(joined(name, old, old, new)) == 2


@pytest.mark.parametrize("name", ["in_turn", "replace", "real_time_chunking"])
def test_the_newest_chunk_replaces_what_was_queued(name):
    old, new = chunk([0.5] * 3), chunk([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(joined(name, old, old, new), new)


@pytest.mark.parametrize("decay", [0.0, 0.01, 1.3])
def test_an_ensemble_weights_the_oldest_chunk_most(decay):
    lengths, values = (2, 3, 5), (0.5, -0.2, 0.1)
    predictions = [chunk([value] * length) for value, length in zip(values, lengths, strict=True)]
    found = joined("ensemble", predictions[1], *predictions, ensemble_decay=decay)[:, 0]
    for step in range(5):
        said = [value for value, length in zip(values, lengths, strict=True) if length > step]
        weights = [math.exp(-decay * i) for i in range(len(said))]
        mean = sum(w * a for w, a in zip(weights, said, strict=True)) / sum(weights)
        assert found[step] == pytest.approx(mean, abs=1e-6)


def test_a_blend_goes_over_in_equal_steps_and_then_follows_the_newest():
    found = joined("blend", chunk([1.0] * 3), chunk([1.0] * 3), chunk([0.0] * 5))
    np.testing.assert_allclose(found[:, 0], [3 / 4, 2 / 4, 1 / 4, 0.0, 0.0], atol=1e-7)


def test_a_blend_starts_from_what_was_queued_not_from_what_the_last_chunk_said():
    found = joined("blend", chunk([0.6]), chunk([1.0]), chunk([0.0, 0.0]))
    assert found[0, 0] == pytest.approx(0.3)


def test_a_gripper_opens_or_closes_and_the_side_with_more_weight_decides():
    found = joined("blend", chunk([0.0] * 4, gripper=-1.0), chunk([0.0] * 4), chunk([0.0] * 4, gripper=1.0))
    assert found[:, GRIPPER].tolist() == [-1, -1, 1, 1]
    old, new = chunk([0.0] * 2, gripper=1.0), chunk([0.0] * 2, gripper=-1.0)
    assert joined("ensemble", old, old, old, new)[:, GRIPPER].tolist() == [1, 1]
    assert joined("ensemble", old, old, new, ensemble_decay=0.0)[:, GRIPPER].tolist() == [-1, -1], "a tie: the newest"


def test_rules_say_what_they_need():
    needs = {name: load_joining(name, JoiningSettings()).timing.needs_guidance for name in JOINING_RULES.names}
    assert [name for name, needed in needs.items() if needed] == ["real_time_chunking"]
    assert load_joining("blend", JoiningSettings(overlap=3)).rule.overlap == 3
    with pytest.raises(RegistryError, match="unknown joining rule 'glue'.*blend"):
        load_joining("glue", JoiningSettings())

"""What the guard lets through and what it drops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from libero_bridge.safety import SafetyGuard, SafetyLimits

LIMITS = SafetyLimits(max_failures=3)
MIDDLE = np.array([0.0, 0.0, 0.3])
horizons = st.integers(1, 16)
valid_actions = horizons.flatmap(lambda h: hnp.arrays(np.float32, (h, 7), elements=st.floats(-1, 1, width=32)))


@given(valid_actions)
def test_whatever_libero_can_do_near_the_middle_is_safe(actions):
    assert SafetyGuard(LIMITS).check(actions, 0.0, MIDDLE) == ""


@given(valid_actions, st.data(), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_one_value_that_is_not_finite_drops_the_whole_chunk(actions, data, bad):
    step = data.draw(st.integers(0, len(actions) - 1))
    actions[step, data.draw(st.integers(0, 6))] = bad
    reason = SafetyGuard(LIMITS).check(actions, 0.0, MIDDLE)
    assert reason.startswith("finite:") and f"action {step}" in reason


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=9), elements=st.just(0.0)))
def test_only_rows_of_seven_values_have_the_right_shape(actions):
    right = actions.ndim == 2 and actions.shape[1] == 7
    assert SafetyGuard(LIMITS).check(actions, 0.0, MIDDLE).startswith("shape:") is not right


def test_a_chunk_longer_than_allowed_is_dropped():
    reason = SafetyGuard(LIMITS).check(np.zeros((65, 7)), 0.0, MIDDLE)
    assert reason == "shape: horizon 65, expected 1 to 64"


@given(st.floats(-10, 10))
def test_only_a_recent_observation_may_be_answered(age):
    reason = SafetyGuard(LIMITS).check(np.zeros((1, 7)), age, MIDDLE)
    assert (reason == "") is (0 <= age <= LIMITS.max_age)
    assert reason == "" or "age:" in reason


@given(valid_actions, hnp.arrays(np.float64, 3, elements=st.floats(-1.5, 1.5)))
def test_the_predicted_path_never_gets_further_out_of_the_workspace(actions, start):
    if SafetyGuard(LIMITS).check(actions, 0.0, start):
        return
    path = start + np.cumsum(actions[:, :3] * LIMITS.translation_scale * LIMITS.response, axis=0)
    assert (path >= np.minimum(LIMITS.workspace_low, start) - 1e-6).all()
    assert (path <= np.maximum(LIMITS.workspace_high, start) + 1e-6).all()


def test_the_reason_names_the_step_and_the_axis_that_leave_the_workspace():
    actions = np.zeros((8, 7))
    actions[4:, 1] = 1.0
    reason = SafetyGuard(LIMITS).check(actions, 0.0, np.array([0.0, 0.63, 0.3]))
    assert reason == "workspace: action 5 leads to y = 0.655 m, expected -0.650 to 0.650"


def test_an_arm_outside_of_the_workspace_may_come_back():
    inwards = np.zeros((8, 7))
    inwards[:, 0] = -1.0
    outside = np.array([0.6, 0.0, 0.3])
    assert SafetyGuard(LIMITS).check(inwards, 0.0, outside) == ""
    assert SafetyGuard(LIMITS).check(-inwards, 0.0, outside).startswith("workspace:")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.01, 0, 0, 0, 0, 0, 0], "value 1.010"),
        ([0.9, 0.9, 0, 0, 0, 0, 1], "m in one step"),
        ([0, 0, 0, 0.5, 0.5, 0, 0], "rad in one step"),
    ],
)
def test_speed_is_limited_in_every_step(values, words):
    slow = SafetyLimits(max_translation=0.05, max_rotation=0.3)
    actions = np.zeros((3, 7))
    actions[2] = values
    reason = SafetyGuard(slow).check(actions, 0.0, MIDDLE)
    assert reason.startswith("speed:") and words in reason


@given(st.lists(st.booleans(), max_size=12))
def test_the_guard_latches_after_failures_in_a_row_until_it_is_reset(safe):
    guard = SafetyGuard(LIMITS)
    in_a_row, latched = 0, False
    for good in safe:
        guard.check(np.zeros((1, 7)) if good else np.full((1, 7), np.nan), 0.0, MIDDLE)
        in_a_row = 0 if good else in_a_row + 1
        latched = latched or in_a_row >= LIMITS.max_failures
        assert bool(guard.latched) is latched
    guard.reset()
    assert guard.latched == ""


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"workspace_low": (0, 0, 0), "workspace_high": (1, 0, 1)}, "workspace_low"),
        ({"max_translation": -1.0}, "max_translation"),
        ({"max_failures": 0}, "max_failures"),
        ({"max_age": -0.1}, "max_age"),
        ({"response": float("nan")}, "response"),
    ],
)
def test_limits_that_make_no_sense_are_refused_by_name(values, name):
    with pytest.raises(ValueError, match=name):
        SafetyLimits(**values)

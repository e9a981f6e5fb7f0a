"""The rules that weigh EOS and vision."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from substep_core.keys import SubstepKey
from substep_core.protocol import Cause
from substep_planner.manager.events import FrameScored
from substep_planner.manager.switch_rules import (
    CONFIRMATION_WAIT,
    STAY,
    SWITCH_RULES,
    SwitchSettings,
    Verdict,
    make_switch_rule,
)


def verdict(decision) -> Verdict:
    return decision.verdict


def rule(name: str, confirm_steps: int = 10):
    made = make_switch_rule(name, SwitchSettings(confirm_steps, denial_threshold=0.1))
    made.begin()
    return made


def frame(completed: bool, stamp: int, similarity: float = 0.5) -> FrameScored:
    return FrameScored(SubstepKey("task", 0, 0), stamp, similarity, completed)


@pytest.mark.parametrize("name", SWITCH_RULES.names)
def test_no_signal_ends_no_substep(name):
    tested = rule(name)
    tested.on_chunk(eos=False)
    assert tested.on_frame(frame(False, 1), step=1) == STAY
    assert tested.on_time(100.0) == STAY


@pytest.mark.parametrize(
    ("name", "on_eos", "on_frame"),
    [
        ("eos", Verdict.ADVANCE, Verdict.STAY),
        ("vision", Verdict.REISSUE, Verdict.ADVANCE),
        ("either", Verdict.ADVANCE, Verdict.ADVANCE),
        ("eos_then_vision", Verdict.STAY, Verdict.STAY),
        ("eos_unless_denied", Verdict.STAY, Verdict.STAY),
    ],
)
def test_each_signal_alone(name, on_eos, on_frame):
    assert verdict(rule(name).on_eos(stamp=5, step=5, now=0.0)) is on_eos
    assert verdict(rule(name).on_frame(frame(True, 5), step=5)) is on_frame


def test_an_eos_that_is_being_played_comes_before_vision():
    either = rule("either")
    either.on_chunk(eos=True)
    assert either.on_frame(frame(True, 5), step=5) == STAY
    assert either.on_eos(stamp=6, step=6, now=0.0).reason.kind is Cause.EOS
    either.begin()
    assert either.on_frame(frame(True, 7), step=7).reason.kind is Cause.VISION


def test_an_eos_is_confirmed_by_a_frame_that_was_scored_before_the_report():
    tested = rule("eos_then_vision")
    tested.on_frame(frame(True, 8), step=8)
    assert verdict(tested.on_eos(stamp=8, step=8, now=0.0)) is Verdict.ADVANCE


def test_an_eos_waits_for_the_frame_after_it_and_no_longer():
    tested = rule("eos_then_vision")
    tested.on_frame(frame(True, 6), step=6)  # an older frame does not count
    assert tested.on_eos(stamp=8, step=8, now=0.0) == STAY
    assert tested.on_frame(frame(False, 7), step=8) == STAY
    assert verdict(tested.on_frame(frame(False, 8), step=8)) is Verdict.REISSUE


def test_an_eos_may_be_confirmed_some_steps_later():
    tested = rule("eos_then_vision", confirm_steps=10)
    tested.on_frame(frame(False, 8), step=8)
    assert verdict(tested.on_eos(stamp=8, step=8, now=0.0)) is Verdict.REISSUE
    assert tested.on_frame(frame(False, 15), step=15) == STAY
    assert verdict(tested.on_frame(frame(True, 18), step=18)) is Verdict.ADVANCE


def test_a_confirmation_that_comes_too_late_does_not_count():
    tested = rule("eos_then_vision", confirm_steps=10)
    tested.on_frame(frame(False, 8), step=8)
    tested.on_eos(stamp=8, step=8, now=0.0)
    assert tested.on_frame(frame(True, 19), step=19) == STAY
    assert tested.on_frame(frame(True, 20), step=20) == STAY


@pytest.mark.parametrize(
    ("name", "after_waiting"), [("eos_then_vision", Verdict.REISSUE), ("eos_unless_denied", Verdict.ADVANCE)]
)
def test_a_silent_scorer_does_not_stop_the_world(name: str, after_waiting: Verdict):
    tested = rule(name)
    tested.on_eos(stamp=8, step=8, now=50.0)
    assert tested.on_time(50.0 + CONFIRMATION_WAIT) == STAY
    assert verdict(tested.on_time(50.1 + CONFIRMATION_WAIT)) is after_waiting
    assert tested.on_time(99.0) == STAY


def test_an_eos_stands_where_vision_is_in_doubt():
    tested = rule("eos_unless_denied")
    tested.on_frame(frame(False, 6, similarity=0.9), step=6)  # an older frame does not count
    assert tested.on_eos(stamp=8, step=8, now=0.0) == STAY
    decision = tested.on_frame(frame(False, 8, similarity=0.1), step=8)
    assert (decision.verdict, decision.reason.kind) == (Verdict.ADVANCE, Cause.EOS)


def test_an_eos_is_denied_where_vision_is_sure():
    tested = rule("eos_unless_denied")
    tested.on_frame(frame(False, 8, similarity=0.05), step=8)
    assert verdict(tested.on_eos(8, 8, now=0.0)) is Verdict.RETRY
    assert tested.on_frame(frame(False, 12, similarity=0.05), step=12) == STAY  # it has been answered


def test_unknown_rules_and_limits_are_refused():
    with pytest.raises(ValueError, match="unknown switch rule 'coin': expected one of either .substep_planner"):
        make_switch_rule("coin")
    for settings in ({"confirm_steps": -1}, {"denial_threshold": 1.5}):
        with pytest.raises(ValidationError, match=next(iter(settings))):
            SwitchSettings(**settings)

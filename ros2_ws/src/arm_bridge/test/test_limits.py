"""Whatever is asked for, what leaves keeps every limit, and what it leads to as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from arm_bridge.bench import ADAPTERS, JOINTS, LimitBroken, play
from arm_bridge.bench_parts import PART, BenchPart, parts, play_parts, together
from arm_bridge.command import ArmCommand, CommandRefused
from arm_bridge.gate import Gate
from arm_bridge.places import CartesianPlaces
from arm_bridge.shaping import Shaper, VectorLimits

CHUNKS = 250  # of each adapter; `./substep bench arm` plays as many as are wanted


@pytest.mark.parametrize("name", ADAPTERS)
def test_no_command_beyond_a_limit_leaves_whatever_the_chunks_are(name):
    played = play(name, CHUNKS, seed=7)
    assert played.commands >= CHUNKS and played.faults > CHUNKS // 100


def test_chunks_are_the_same_in_however_many_parts_they_are_played():
    todo = parts(("joint_velocity",), PART + 10, seed=3)
    assert [(part.chunks, part.seed) for part in todo] == [(PART, 3), (10, 4)]
    small = [replace(part, chunks=10) for part in todo]
    played = together([found for _, found in play_parts(small, workers=1)])
    assert played == play("joint_velocity", 10, 3) + play("joint_velocity", 10, 4) and played.chunks == 20


def test_a_limit_that_is_broken_is_told_with_what_plays_it_again(monkeypatch):
    monkeypatch.setattr(Gate, "check", lambda gate, command: command)
    monkeypatch.setattr(Shaper, "_limited", lambda shaper, wish: wish)
    with pytest.raises(LimitBroken, match="^joint_velocity, seed 5: (speed|acceleration|jerk)"):
        list(play_parts([BenchPart("joint_velocity", 50, 5)], workers=1))


def test_a_wish_within_the_limits_is_what_leaves():
    shaper = Shaper([VectorLimits(3, 0.5, 9.0, 360.0), VectorLimits(3, 3.0, 60.0, 2400.0)], 0.05)
    wish = np.array([0.1, -0.2, 0.05, 0.3, 0.0, 0.0])
    step = shaper.next(wish, np.zeros(6), lambda path: np.zeros(6, bool))
    assert np.allclose(step.velocity, wish) and not step.braking[-1].any()


def test_a_vector_that_is_too_long_is_scaled_down_and_keeps_its_direction():
    shaper = Shaper([VectorLimits(3, 0.5, 100.0)], 0.05)
    step = shaper.next(np.array([3.0, 0.0, 4.0]), np.zeros(3), lambda path: np.zeros(3, bool))
    assert np.allclose(step.velocity, [0.3, 0.0, 0.4])


def test_an_arm_slides_along_a_wall_and_does_not_stick_to_it():
    contract, _ = ADAPTERS["cartesian_rate"]()
    places = CartesianPlaces(contract, np.zeros(3))
    shaper, here = (
        Shaper([VectorLimits(3, 0.5, 4.0), VectorLimits(3, 3.0, 60.0)], 0.05),
        np.array([0.0, 0.0, 0.4, 0, 0, 0]),
    )
    for _ in range(100):
        here = here + shaper.next(np.array([0.4, 0.1, 0, 0, 0, 0]), here, places.blocked).velocity * 0.05
    assert contract.workspace.high[0] - 0.05 < here[0] <= contract.workspace.high[0] + 1e-9
    assert here[1] == pytest.approx(0.5, abs=0.06)


def test_a_hand_that_is_within_a_keep_out_box_may_leave_it_slowly_and_go_no_deeper():
    contract, _ = ADAPTERS["cartesian_rate"]()
    places, begin = CartesianPlaces(contract, np.zeros(3)), np.array([0.12, 0.18, 0.4, 0, 0, 0])
    away, deeper = ([begin, begin + [step, 0, 0, 0, 0, 0]] for step in (-0.001, 0.001))
    assert not places.blocked(np.array(away)).any() and places.blocked(np.array(deeper)).any()


@pytest.mark.parametrize(
    ("velocity", "words"),
    [
        ((0.6, 0.0, 0.0), "speed of 0.6, expected at most 0.5"),
        ((0.4, 0.0, 0.0), "acceleration of 8, expected at most 4"),
        ((np.nan, 0.0, 0.0), "not finite"),
    ],
)
def test_the_gate_trusts_nobody(velocity, words):
    gate = Gate((VectorLimits(3, 0.5, 4.0),), lambda path: np.zeros(3, bool))
    velocities = np.array([velocity, (0.0, 0.0, 0.0)])
    command = ArmCommand(0, 0.05, velocities, np.zeros((3, 3)), joints=JOINTS)
    with pytest.raises(CommandRefused, match=words):
        gate.check(command)

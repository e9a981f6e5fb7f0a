"""Cartesian rate commands: which count and how long, and how the reference follows them."""

from __future__ import annotations

import numpy as np
import pytest

from substep_core.rotation import rotation_vector, turn
from substep_standin.servo import PoseReference, ServoInput, Twist
from substep_standin.settings import ServoSettings

SECOND = 1_000_000_000
NOW = 100 * SECOND
QUARTER_TURN = turn(np.array([0.0, 0.0, np.pi / 2]))


@pytest.fixture
def servo() -> ServoInput:
    return ServoInput(ServoSettings(), {"world": lambda: np.eye(3), "hand": lambda: QUARTER_TURN})


def twist(linear=(0.1, 0, 0), angular=(0, 0, 0), stamp: int = NOW, frame: str = "world") -> Twist:
    return Twist(stamp, frame, np.array(linear, float), np.array(angular, float))


def test_a_command_counts_until_it_is_stale_by_its_own_stamp(servo):
    assert servo.accept(twist(stamp=NOW - SECOND // 20), NOW) == ""
    assert servo.target(NOW)[0] == 0.1
    assert servo.target(NOW + SECOND // 25)[0] == 0.1
    assert not servo.target(NOW + SECOND // 20).any(), "0.1 s after the stamp, not after it came"


@pytest.mark.parametrize("stamp", [0, NOW - SECOND, NOW - SECOND // 10])
def test_a_zero_or_old_stamp_never_moves_the_arm(servo, stamp):
    servo.accept(twist(stamp=stamp), NOW)
    assert not servo.target(NOW).any()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (twist(frame=""), "frame_id"),
        (twist(frame="map"), "expected one of world, hand"),
        (twist(linear=(np.nan, 0, 0)), "not finite"),
        (twist(angular=(0, np.inf, 0)), "not finite"),
        (twist(stamp=NOW + SECOND), "future"),
        (twist(linear=(9, 0, 0)), "limit of 0.5"),
        (twist(angular=(0, 0, 40)), "limit of 3"),
    ],
)
def test_what_cannot_be_meant_is_refused(servo, command, why):
    assert why in servo.accept(command, NOW)
    assert not servo.target(NOW).any() and servo.refused == 1


def test_a_vector_that_is_too_long_keeps_its_direction(servo):
    servo.accept(twist(linear=(0.6, 0.8, 0), angular=(0, 6, 0)), NOW)
    assert servo.target(NOW) == pytest.approx([0.3, 0.4, 0, 0, 3, 0])


def test_the_newest_by_stamp_counts_whatever_order_they_come_in(servo):
    servo.accept(twist(linear=(0.2, 0, 0), stamp=NOW), NOW)
    servo.accept(twist(linear=(0.1, 0, 0), stamp=NOW - SECOND // 50), NOW)
    assert servo.target(NOW)[0] == 0.2


def test_a_command_in_the_hands_frame_is_turned(servo):
    servo.accept(twist(frame="hand"), NOW)
    assert servo.target(NOW)[:3] == pytest.approx([0, 0.1, 0])


def test_what_was_commanded_before_does_not_count_after_forgetting(servo):
    servo.accept(twist(), NOW)
    servo.forget(NOW)
    servo.accept(twist(stamp=NOW - 1), NOW)
    assert not servo.target(NOW).any()
    servo.accept(twist(stamp=NOW + 1), NOW + 1)
    assert servo.target(NOW + 1).any()


def follow(target: np.ndarray, steps: int, blocked: bool = False) -> tuple[PoseReference, list[np.ndarray]]:
    reference, at = PoseReference(ServoSettings(), np.zeros(3), np.eye(3)), (np.zeros(3), np.eye(3))
    velocities = []
    for _ in range(steps):
        reference.advance(target, *at, 0.002)
        at = at if blocked else (reference.position, reference.rotation)
        velocities.append(reference.velocity)
    return reference, velocities


def test_the_reference_comes_to_the_velocity_smoothly_and_stops_smoothly():
    reference, velocities = follow(np.array([0.4, 0, 0, 0, 0, 2.0]), 500)
    assert velocities[-1] == pytest.approx([0.4, 0, 0, 0, 0, 2.0], rel=1e-3)
    steps = np.diff([np.zeros(6), *velocities], axis=0) / 0.002
    assert np.linalg.norm(steps[:, :3], axis=1).max() <= 13.0 + 1e-9
    assert np.linalg.norm(steps[:, 3:], axis=1).max() <= 60.0 + 1e-9
    # one second of both, less what the time constant of 35 ms costs at the start
    assert reference.position[0] == pytest.approx(0.4 * (1 - 0.035), rel=0.02)
    assert rotation_vector(reference.rotation)[2] == pytest.approx(2.0 * (1 - 0.035), rel=0.02)
    before = reference.position.copy()
    for _ in range(500):
        reference.advance(np.zeros(6), reference.position, reference.rotation, 0.002)
    assert np.abs(reference.velocity).max() < 1e-6
    assert 0.005 < reference.position[0] - before[0] < 0.02, "it brakes, and does not jump to a halt"


def test_the_reference_does_not_run_away_from_an_arm_that_cannot_follow():
    reference, _ = follow(np.array([0.4, 0, 0, 0, 0, 2.0]), 1000, blocked=True)
    assert np.linalg.norm(reference.position) <= PoseReference.LEASH + 1e-9
    assert np.linalg.norm(rotation_vector(reference.rotation)) <= PoseReference.TURN_LEASH + 1e-9


@pytest.mark.parametrize("vector", [(0.3, -0.2, 0.9), (0, 0, 0), (1.0, 2.0, -2.0), (1e-9, 0, 0)])
def test_turning_by_a_vector_and_reading_it_back(vector):
    assert rotation_vector(turn(np.array(vector, float))) == pytest.approx(vector, abs=1e-9)

"""Whatever is asked for, what leaves keeps every limit, and what it leads to as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from arm_bridge.arm import ARM
from arm_bridge.bench import arbitrary_actions
from arm_bridge.command import ArmCommand, CommandRefused
from arm_bridge.gate import Gate
from arm_bridge.places import CartesianPlaces
from arm_bridge.shaping import Block, Shaper
from substep_core.contract import KeepOut
from tests.arms import ADAPTERS, JOINTS, Rig

CHUNKS = 500  # of each adapter; `./substep bench arm` plays as many as are wanted
BOX = KeepOut("lamp", (0.1, 0.1, 0.2), (0.25, 0.25, 0.6))


def commanded(rig: Rig, message) -> np.ndarray:
    """(W,) velocity, or position of joints, as the message has it."""
    kind = type(message).__name__
    if kind == "TwistStamped":
        twist = message.twist
        return np.array([*(getattr(twist.linear, a) for a in "xyz"), *(getattr(twist.angular, a) for a in "xyz")])
    if kind == "PoseStamped":
        return np.array([getattr(message.pose.position, axis) for axis in "xyz"])
    if kind == "JointTrajectory":
        return np.array(message.points[0].positions)
    return np.array(message.data)


@pytest.mark.parametrize("name", ADAPTERS)
def test_no_command_beyond_a_limit_leaves_whatever_the_chunks_are(name):
    contract, settings = ADAPTERS[name]()
    if contract.workspace is not None:
        contract = replace(contract, workspace=replace(contract.workspace, keep_out=(BOX,)))
    rig = Rig(contract, settings).ready()
    rng = np.random.default_rng(7)
    is_velocity = name in ("cartesian_rate", "joint_velocity")
    width = 6 if name == "cartesian_rate" else 3
    told = np.zeros((3, width)) if is_velocity else np.tile(rig.position if width == 3 else 0, (4, 1))
    if name == "joint_trajectory":
        told = np.zeros((4, 3))
    period, sent = 1 / contract.rate, 0
    for action in arbitrary_actions(contract, rng, CHUNKS):
        out = rig.step(action)
        for outgoing in out:
            if outgoing.channel != ARM:
                (point,) = outgoing.message.points
                assert 0.0 <= point.positions[0] <= 0.04
                continue
            sent += 1
            told = np.concatenate([told[1:], commanded(rig, outgoing.message)[None]])
            moves(rig, name, told, period)
        if rig.state == "fault":
            assert not np.isfinite(action).all()
            told = at_rest(rig, told, is_velocity)
            assert rig.arm.reset() == "" and rig.arm.shadow() == "" and rig.arm.arm() == ""
    assert sent > CHUNKS


def at_rest(rig: Rig, told: np.ndarray, is_velocity: bool) -> np.ndarray:
    """After a fault the arm comes to rest, and only then it is armed anew."""
    for _ in range(40):
        for outgoing in rig.step(np.zeros(rig.contract.action_width)):
            told = np.concatenate([told[1:], commanded(rig, outgoing.message)[None]])
            moves(rig, "", told, 1 / rig.contract.rate)
    assert rig.arm.is_at_rest
    return np.zeros_like(told) if is_velocity else np.tile(told[-1], (len(told), 1))


def moves(rig: Rig, name: str, told: np.ndarray, period: float) -> None:
    """The arm follows at once; checks the newest command against those before it."""
    contract = rig.contract
    is_velocity = len(told) == 3
    velocities = told if is_velocity else np.diff(told, axis=0) / period
    accelerations = np.diff(velocities, axis=0) / period
    jerks = np.diff(accelerations, axis=0) / period
    assert np.isfinite(told).all()
    if contract.motion is not None:
        motion = contract.motion
        parts = [("linear", slice(0, 3))] + ([("angular", slice(3, 6))] if told.shape[1] == 6 else [])
        for part, place in parts:
            for what, values in (("speed", velocities), ("acceleration", accelerations), ("jerk", jerks)):
                limit = getattr(motion, f"{part}_{what}")
                assert np.linalg.norm(values[-1, place]) <= limit * (1 + 1e-5) + 1e-6, (part, what)
        rig.position = rig.position + told[-1, :3] * period if is_velocity else told[-1, :3]
        low, high = np.array(contract.workspace.low), np.array(contract.workspace.high)
        assert (rig.position >= low - 1e-6).all() and (rig.position <= high + 1e-6).all()
        inside = (rig.position > np.array(BOX.low) + 1e-6) & (rig.position < np.array(BOX.high) - 1e-6)
        assert not inside.all(), "in the lamp"
        return
    assert (np.abs(velocities[-1]) <= 1.2 + 1e-5).all()
    assert (np.abs(accelerations[-1]) <= 4.0 + 1e-4).all()
    assert (np.abs(jerks[-1]) <= 60.0 + 1e-2).all()
    rig.joints = rig.joints + told[-1] * period if is_velocity else told[-1]
    assert (np.abs(rig.joints) <= 1.5 + 1e-6).all()


def test_a_wish_within_the_limits_is_what_leaves():
    shaper = Shaper([Block(3, 0.5, 9.0, 360.0), Block(3, 3.0, 60.0, 2400.0)], 0.05)
    wish = np.array([0.1, -0.2, 0.05, 0.3, 0.0, 0.0])
    step = shaper.next(wish, np.zeros(6), lambda path: np.zeros(6, bool))
    assert np.allclose(step.velocity, wish) and not step.braking[-1].any()


def test_a_vector_that_is_too_long_is_scaled_down_and_keeps_its_direction():
    shaper = Shaper([Block(3, 0.5, 100.0)], 0.05)
    step = shaper.next(np.array([3.0, 0.0, 4.0]), np.zeros(3), lambda path: np.zeros(3, bool))
    assert np.allclose(step.velocity, [0.3, 0.0, 0.4])


def test_an_arm_slides_along_a_wall_and_does_not_stick_to_it():
    contract, _ = ADAPTERS["cartesian_rate"]()
    places = CartesianPlaces(contract, np.zeros(3))
    shaper, here = Shaper([Block(3, 0.5, 4.0), Block(3, 3.0, 60.0)], 0.05), np.array([0.0, 0.0, 0.4, 0, 0, 0])
    for _ in range(100):
        here = here + shaper.next(np.array([0.4, 0.1, 0, 0, 0, 0]), here, places.blocked).velocity * 0.05
    assert contract.workspace.high[0] - 0.05 < here[0] <= contract.workspace.high[0] + 1e-9
    assert here[1] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("velocity", "words"),
    [
        ((0.6, 0.0, 0.0), "speed of 0.6, expected at most 0.5"),
        ((0.4, 0.0, 0.0), "acceleration of 8, expected at most 4"),
        ((np.nan, 0.0, 0.0), "not finite"),
    ],
)
def test_the_gate_trusts_nobody(velocity, words):
    gate = Gate((Block(3, 0.5, 4.0),), lambda path: np.zeros(3, bool))
    velocities = np.array([velocity, (0.0, 0.0, 0.0)])
    command = ArmCommand(0, 0.05, velocities, np.zeros((3, 3)), joints=JOINTS)
    with pytest.raises(CommandRefused, match=words):
        gate.check(command)

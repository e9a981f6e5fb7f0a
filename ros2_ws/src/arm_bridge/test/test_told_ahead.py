"""Chunks as whole trajectories: what is sent, what replaces it, and where the arm is when nobody has said more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from arm_bridge.bench import ADAPTERS, RESTING, Rig, Watch, arbitrary_chunks
from arm_bridge.settings import ArmSettings

FORWARD = np.array([[0.01 * step, 0.0, 0.0, -1.0] for step in range(1, 9)])  # rad; a chunk of eight
BACK = FORWARD * [-1, 1, 1, 1]


@pytest.fixture
def rig() -> Rig:
    return _rig(ahead=1.0)


def _rig(ahead: float) -> Rig:
    contract, settings = ADAPTERS["joint_trajectory_chunks"]()
    return Rig(contract, replace(settings, arm=replace(settings.arm, ahead=ahead))).ready()


def trajectories(rig: Rig, chunk: np.ndarray, steps: int, watch: Watch) -> list:
    """What the arm's controller is told while that many actions of a chunk are played, the first of them first."""
    found = []
    for number in range(steps):
        sent = rig.step(chunk[number], chunk[number + 1 :])
        watch.see(sent)
        found += [each.message for each in sent if each.channel == "arm"]
    return found


def times(message) -> list[float]:
    return [point.time_from_start.sec + point.time_from_start.nanosec / 1e9 for point in message.points]


def test_a_chunk_is_one_trajectory_with_a_point_a_control_step_and_ends_in_rest(rig):
    (message,) = trajectories(rig, FORWARD, 8, Watch(rig))
    assert len(message.points) > 8, "eight actions and the stop"
    assert np.allclose(times(message), 0.05 * np.arange(1, len(message.points) + 1)), "by the contract's 20 Hz"
    speeds = np.array([point.velocities for point in message.points])[:, 0]
    assert (speeds[:7] > 0).all() and not any(message.points[-1].velocities)
    places = [0.0, *(point.positions[0] for point in message.points)]
    middle = (np.diff(places)[:-1] + np.diff(places)[1:]) / 2 / 0.05
    assert np.allclose(speeds[:-1], middle), "what a cubic through these points needs"


def test_a_newer_chunk_replaces_the_rest_and_goes_on_from_where_the_arm_is(rig):
    watch = Watch(rig)
    (first,) = trajectories(rig, FORWARD, 4, watch)
    second, *more = trajectories(rig, BACK, 8, watch)
    assert not more
    assert second.points[0].positions[0] == pytest.approx(first.points[4].positions[0], abs=0.02)
    assert second.points[-1].positions[0] < 0


def test_a_hold_in_mid_chunk_is_told_at_once(rig):
    watch = Watch(rig)
    trajectories(rig, FORWARD, 3, watch)
    rig.arm.disarm()
    (stop,) = rig.step(FORWARD[3], FORWARD[4:])
    watch.see([stop])
    assert len(stop.message.points) < 8 and not any(stop.message.points[-1].velocities)


def stamp_of(message) -> float:
    """s of ROS time at which it begins."""
    return message.header.stamp.sec + message.header.stamp.nanosec / 1e9


@pytest.mark.parametrize("end", ["disarm", "fault", "silence"])
def test_an_arm_that_stands_and_has_been_told_to_move_later_is_stopped_too(rig, end):
    watch = Watch(rig)
    later = np.concatenate([np.tile([0.0, 0.0, 0.0, -1.0], (4, 1)), FORWARD])
    trajectories(rig, later, 1, watch)
    assert not rig.arm.is_at_rest, "it will move by itself"
    if end == "disarm":
        rig.arm.disarm()
    elif end == "fault":
        rig.arm.fail("the driver refuses")
    else:
        rig.arm.hear_status(0, 1)  # the driver halts
    for _ in range(12):
        watch.see(rig.step(later[1], later[2:]))
    assert rig.arm.is_at_rest and np.abs(rig.joints).max() < 1e-6


def test_no_more_than_its_part_of_a_long_chunk_is_told_at_a_time():
    rig = _rig(ahead=0.15)
    watch = Watch(rig)
    told = trajectories(rig, np.repeat(FORWARD, 2, axis=0), 16, watch)
    assert len(told) >= 4, "three steps ahead of each"


def test_an_arm_that_played_on_while_the_bridge_was_late_is_not_called_back(rig):
    watch = Watch(rig)
    (first,) = trajectories(rig, FORWARD, 2, watch)
    for _ in range(3):  # nothing is said, and the arm goes on by what it was told
        rig.pass_time(0.05)
        watch.see([])
    rig.speak()
    assert not trajectories(rig, FORWARD[2:], 2, watch), "that is what it has done meanwhile"
    (second,) = trajectories(rig, BACK, 1, watch)
    assert second.points[0].positions[0] > first.points[6].positions[0] - 1e-6, (
        "on from the seventh step, not the fifth"
    )


def test_an_arm_whose_bridge_is_late_again_and_again_plays_each_action_once(rig):
    watch = Watch(rig)
    told = []
    for number in range(8):
        if number % 2:  # a control period without a word
            rig.pass_time(0.05)
            watch.see([])
        sent = rig.step(FORWARD[number], FORWARD[number + 1 :])
        watch.see(sent)
        told += [each for each in sent if each.channel == "arm"]
    assert len(told) == 1 and rig.joints[0] == pytest.approx(FORWARD[-1, 0], abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_asked_for_and_however_late_no_limit_is_broken(seed):
    """``Watch`` holds each point of what leaves against the contract, from where the arm has come to by itself."""
    rig, rng = _rig(ahead=0.3), np.random.default_rng(seed)
    watch, late = Watch(rig), 0
    for stretch in arbitrary_chunks(rig.contract, rng, 100):
        for number in range(stretch.played):
            if rng.random() < 0.2 and rig.state == "armed":
                late += 1
                rig.pass_time(1 / rig.contract.rate)
                watch.see([])
            watch.see(rig.step(stretch.chunk[number], stretch.chunk[number + 1 :]))
            if rig.state == "fault":
                for _ in range(RESTING):
                    watch.see(rig.step(np.zeros(4)))
                assert rig.arm.is_at_rest
                watch.rest()
                rig.ready()
    assert late > 50 and watch.commands > 100


def test_after_the_clock_was_set_back_the_stop_begins_now(rig):
    trajectories(rig, FORWARD, 3, Watch(rig))
    rig.arm.disarm()
    rig.pass_time(-10.0)
    (stop,) = [each.message for each in rig.step(FORWARD[3], FORWARD[4:]) if each.channel == "arm"]
    assert not any(stop.points[-1].velocities)
    assert stamp_of(stop) == pytest.approx(rig.now / 1e9 + rig.settings.arm.lead, abs=1e-6)


def test_a_stop_that_was_told_takes_its_time_whoever_counts_it(rig):
    trajectories(rig, FORWARD * [4, 1, 1, 1], 4, Watch(rig))  # and then the bridge's thread hangs
    rig.sent.clear()
    for _ in range(80):
        rig.pass_time(0.05 / 4)
        rig.speak()
        rig.arm.watch()
        if rig.arm.is_at_rest:
            break
    (stop,) = [each.message for each in rig.sent]
    begun, rested = stamp_of(stop) - rig.settings.arm.lead, rig.now / 1e9
    assert rig.arm.is_at_rest and rested - begun > times(stop)[-1] - 2.5 * 0.05, "the last two steps of it are rest"


def test_a_joint_that_does_not_keep_up_is_waited_for(rig):
    trajectories(rig, FORWARD, 2, Watch(rig))
    rig.joints = rig.joints - 0.5  # more than the leash
    (stop,) = [each.message for each in rig.step(FORWARD[2], FORWARD[3:]) if each.channel == "arm"]
    assert len(stop.points) < 8


def test_every_point_is_checked_before_it_leaves(rig, monkeypatch):
    foresee, watch = rig.arm._commander.foresee, Watch(rig)

    def too_fast_in_the_end(command, actions):
        whole, shapers = foresee(command, actions)
        if len(actions):
            whole.velocities[5] += 2.0
        return whole, shapers

    monkeypatch.setattr(rig.arm._commander, "foresee", too_fast_in_the_end)
    watch.see(rig.step(FORWARD[0], FORWARD[1:]))
    assert rig.state == "fault" and "a speed of" in rig.transitions[-1].cause
    assert np.abs(rig.joints).max() < 0.02, "nothing but the stop has left"


def test_less_than_a_control_step_cannot_be_told_ahead():
    with pytest.raises(ValueError, match=r"ahead is 0.02 s, expected at least a control step .*, 0.05 s"):
        _rig(ahead=0.02)


def test_only_commands_to_joints_can_be_told_ahead():
    class Ahead(type(ADAPTERS["cartesian_rate"]()[1].arm)):
        ahead = 1.0

    contract, settings = ADAPTERS["cartesian_rate"]()
    with pytest.raises(ValueError, match="only commands to joints"):
        Rig(contract, _with_arm(settings, Ahead(topic="twist")))


def _with_arm(settings: ArmSettings, arm: object) -> ArmSettings:
    object.__setattr__(settings, "arm", arm)
    return settings

"""The hand, the latches, cameras, and what goes wrong between driver and listeners."""

from __future__ import annotations

import numpy as np
import pytest

from substep_standin.cameras import CameraSettings, CameraStream
from substep_standin.gripper import Gripper, GripperCode
from substep_standin.latches import Fault, Latches, RobotMode
from substep_standin.outbox import Outbox, TransportFaults

SECOND = 1_000_000_000
FIRST, SECOND_FINGER = "panda_finger_joint1", "panda_finger_joint2"


@pytest.mark.parametrize(("ends_at", "code"), [(0.001, GripperCode.REACHED), (0.02, GripperCode.STALLED)])
def test_the_hand_reaches_its_goal_or_stalls_on_what_it_holds(ends_at, code):
    hand = Gripper()
    assert hand.command({FIRST: 0.0}) == "" and hand.code is GripperCode.MOVING
    hand.advance(0.03, -0.1, 0.3)
    assert hand.code is GripperCode.MOVING
    for _ in range(6):
        hand.advance(ends_at, 0.0, 0.02)
    assert hand.code is code


@pytest.mark.parametrize(
    "fingers", [{}, {SECOND_FINGER: 0.0}, {FIRST: 0.05}, {FIRST: np.nan}, {FIRST: 0.02, SECOND_FINGER: 0.02}, {"a": 0}]
)
def test_goals_that_the_hand_cannot_have_are_rejected_and_the_old_one_stays(fingers):
    hand = Gripper()
    assert hand.command(fingers)
    assert hand.code is GripperCode.REJECTED and hand.goal == 0.04


def test_a_fault_stays_until_it_is_recovered_and_the_emergency_stop_until_it_is_released_too():
    latches = Latches()
    assert latches.trip(Fault.COLLISION) and not latches.trip(Fault.JOINT_VELOCITY)
    assert (latches.fault, latches.mode(moves=True)) == (Fault.COLLISION, RobotMode.REFLEX)
    latches.press(True)
    assert latches.mode(moves=False) is RobotMode.USER_STOPPED
    assert "release" in latches.recover() and latches.is_stopped
    latches.press(False)
    assert latches.is_stopped, "letting go of the knob starts nothing"
    assert latches.recover() == "" and latches.mode(moves=False) is RobotMode.IDLE


class Shutter:
    """Counts the pictures that are taken of a scene that changes."""

    def __init__(self) -> None:
        self.taken = 0

    def __call__(self) -> np.ndarray:
        self.taken += 1
        return np.full((2, 3, 3), self.taken % 256, np.uint8)


def filmed(seconds: float, settings: CameraSettings, prepare=lambda stream, now: None, phase: float = 0.0):
    """(moment of arrival, picture) of each, and the shutter."""
    shutter = Shutter()
    stream = CameraStream("front", settings, shutter, phase, 0, np.random.default_rng(3))
    arrived = []
    for now in range(0, round(seconds * SECOND), SECOND // 100):
        prepare(stream, now)
        if stream.periods_due(now):
            stream.expose(now)
        arrived += [(now, picture) for picture in stream.arrived(now)]
    return arrived, shutter


def test_pictures_come_at_the_rate_late_and_in_order_with_the_stamp_of_their_exposure():
    arrived, _ = filmed(20, CameraSettings(rate=20, latency=0.05, jitter=0.03, drop=0.0))
    stamps = np.array([picture.stamp for _, picture in arrived])
    late = (np.array([now for now, _ in arrived]) - stamps) / SECOND
    assert len(arrived) == pytest.approx(20 * 20, abs=2)
    assert (np.diff(stamps) > 0).all()
    assert 0.02 <= late.min() <= 0.03 and 0.07 < late.max() <= 0.09
    assert late.mean() == pytest.approx(0.055, abs=0.005)  # looked at every 10 ms


def test_a_share_of_the_pictures_gets_lost():
    arrived, shutter = filmed(50, CameraSettings(drop=0.2))
    assert len(arrived) / shutter.taken == pytest.approx(0.8, abs=0.05)


def test_two_cameras_do_not_look_at_the_same_instants():
    stamps = [{picture.stamp for _, picture in filmed(2, CameraSettings(), phase=phase)[0]} for phase in (0, 0.5)]
    assert not stamps[0] & stamps[1]


def test_a_frozen_camera_goes_on_with_new_stamps_and_a_stopped_one_does_not():
    def freeze(stream, now):
        stream.frozen, stream.stopped = now >= SECOND, now >= 2 * SECOND

    arrived, _ = filmed(3, CameraSettings(drop=0.0), freeze)
    last = [picture for _, picture in arrived if picture.stamp >= SECOND]
    assert len(last) == 20 and len({picture.stamp for picture in last}) == 20
    assert len({picture.image[0, 0, 0] for picture in last}) == 1
    assert max(picture.stamp for _, picture in arrived) < 2 * SECOND


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"jitter": 0.5}, {"drop": 1.0}])
def test_camera_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        CameraSettings(**wrong)


def sent(faults: TransportFaults, count: int = 200) -> list[tuple[int, int]]:
    """(number of the message, ms at which it was sent)."""
    outbox, out, now = Outbox(np.random.default_rng(1)), [], 0
    outbox.faults = faults
    for number in range(count):
        now = number * 10_000_000
        outbox.post("joints", lambda number=number, out=out: out.append((number, clock[0])), now)
        for clock[0] in range(number * 10, number * 10 + 10):
            outbox.deliver(clock[0] * 1_000_000)
    return out


clock = [0]


def test_without_faults_everything_comes_once_and_in_order():
    assert [number for number, _ in sent(TransportFaults())] == list(range(200))


def test_messages_come_late_twice_and_out_of_order_on_command():
    late = sent(TransportFaults(delay=0.3))
    assert all(moment - number * 10 == 300 for number, moment in late) and len(late) == 170
    twice = [number for number, _ in sent(TransportFaults(duplicate=0.5))]
    assert sorted(set(twice)) == list(range(200)) and 250 < len(twice) < 350
    mixed = [number for number, _ in sent(TransportFaults(reorder=0.5))]
    assert mixed != sorted(mixed) and len(set(mixed)) == len(mixed) >= 199
    assert max(abs(place - number) for place, number in enumerate(mixed)) <= 1


def test_stamps_jump_but_never_before_the_epoch():
    outbox = Outbox(np.random.default_rng(1))
    outbox.faults = TransportFaults(stamp_offset=-5.0)
    assert outbox.stamped(8 * SECOND) == 3 * SECOND and outbox.stamped(SECOND) == 0

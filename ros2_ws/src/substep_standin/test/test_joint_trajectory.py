"""Joint trajectories: what is refused with which code, and what is followed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from substep_standin.joint_trajectory import JointTrajectory, Point, TrajectoryCode, TrajectoryRefused, accepted
from substep_standin.settings import ARM_JOINTS, RobotLimits, TrajectorySettings

SECOND = 1_000_000_000
NOW = 100 * SECOND
HOME = np.array([0.0, 0.3, 0.0, -2.0, 0.0, 2.0, 0.8])
STANDING = (0.0,) * 7


def point(time: float, offset: float, velocities: tuple[float, ...] = ()) -> Point:
    return Point(round(time * SECOND), tuple(HOME + offset), velocities)


def trajectory(*points: Point, stamp: int = 0, joints: tuple[str, ...] = ARM_JOINTS) -> JointTrajectory:
    return JointTrajectory(stamp, joints, points)


def take(command: JointTrajectory, now: int = NOW, **settings):
    return accepted(command, now, HOME, np.zeros(7), TrajectorySettings(**settings), RobotLimits())


def code_of(command: JointTrajectory, **settings) -> TrajectoryCode:
    with pytest.raises(TrajectoryRefused) as refusal:
        take(command, **settings)
    return refusal.value.code


def test_partial_unknown_and_repeated_joints_are_refused():
    two = Point(SECOND, (0.0, 0.0))
    for joints in (ARM_JOINTS[:2], ("a", "b")):
        assert code_of(JointTrajectory(0, joints, (two,))) is TrajectoryCode.INVALID_JOINTS
    assert code_of(trajectory(point(1, 0), joints=ARM_JOINTS[:6] + ARM_JOINTS[:1])) is TrajectoryCode.INVALID_JOINTS


@pytest.mark.parametrize(
    "points",
    [
        (point(1, 0.1), point(1, 0.2)),
        (point(1, np.nan),),
        (point(1, 0.1, (np.inf,) * 7),),
        (Point(SECOND, (0.0,) * 6),),
        (point(1, 0.1, (0.2,) * 7),),  # it would still move at its end
        (point(1, 2.5),),  # beyond stops
        (point(0.01, 0.2),),  # too fast
        (point(1, 0.1, (3.0,) * 7), point(2, 0.2, STANDING)),
    ],
)
def test_invalid_points_are_refused(points):
    assert code_of(trajectory(*points)) is TrajectoryCode.INVALID_GOAL


def test_a_moving_end_is_accepted_where_it_is_allowed_and_the_arm_still_stops_there():
    motion = take(trajectory(point(1, 0.1, (0.2,) * 7)), allow_nonzero_velocity_at_trajectory_end=True)
    position, velocity = motion.at(NOW + 2 * SECOND)
    assert position == pytest.approx(HOME + 0.1) and not velocity.any()


def test_points_that_have_passed_are_dropped_and_all_of_them_is_an_error():
    motion = take(trajectory(point(0.5, 0.1), point(2, 0.3), stamp=NOW - SECOND))
    assert motion.end == NOW + SECOND
    assert motion.at(NOW + SECOND // 2)[0] == pytest.approx(HOME + 0.15), "straight to the point that is left"
    late = trajectory(point(0.5, 0.1), stamp=NOW - SECOND)
    assert code_of(late) is TrajectoryCode.OLD_HEADER_TIMESTAMP


def test_joints_may_come_in_any_order():
    order = ARM_JOINTS[::-1]
    goal = HOME + np.linspace(0.01, 0.07, 7)
    motion = take(JointTrajectory(0, order, (Point(SECOND, tuple(goal[::-1])),)))
    assert motion.at(NOW + SECOND)[0] == pytest.approx(goal)


def test_with_velocities_the_way_is_smooth_and_passes_the_points_as_told():
    points = point(1, 0.2, (0.3,) * 7), point(2, 0.4, STANDING)
    motion = take(trajectory(*points))
    for said in points:
        position, velocity = motion.at(NOW + said.time - 1)
        assert position == pytest.approx(said.positions, abs=1e-6)
        assert velocity == pytest.approx(said.velocities, abs=1e-6)
    moments = np.linspace(NOW, NOW + 2 * SECOND, 2001).astype(np.int64)
    speeds = np.array([motion.at(int(moment))[1] for moment in moments])
    assert np.abs(np.diff(speeds, axis=0)).max() < 0.005, "no velocity jumps"


def test_an_empty_trajectory_is_no_motion():
    assert code_of(replace(trajectory(), points=())) is TrajectoryCode.INVALID_GOAL

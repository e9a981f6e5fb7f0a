"""The driver on a simulated arm: it follows what it is told, and stands when it should."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from libero_bridge.simulation import SimulationConfig
from substep_core.episode import EpisodeStart
from substep_standin.driver import Controller, Driver
from substep_standin.gripper import GripperCode
from substep_standin.joint_trajectory import JointTrajectory, Point, TrajectoryCode
from substep_standin.latches import Fault, RobotMode
from substep_standin.plant import Plant
from substep_standin.servo import ServoStatus, Twist
from substep_standin.settings import ARM_JOINTS, FINGER_JOINTS, DriverSettings, RobotLimits

pytestmark = pytest.mark.xdist_group("simulation")
SECOND = 1_000_000_000
TICK = SECOND // 100


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with contextlib.closing(Plant(SimulationConfig("libero_object", 0, image_size=(32, 32)))) as plant:
        yield plant


class Bench:
    """A driver with a clock that the test moves."""

    def __init__(self, plant: Plant, controller: Controller = Controller.SERVO, **limits) -> None:
        plant.reset(EpisodeStart())
        self.plant, self.now = plant, 100 * SECOND
        self.driver = Driver(plant, DriverSettings(limits=replace(RobotLimits(), **limits)), self.now, controller)

    def run(self, seconds: float, linear=None, angular=(0.0, 0.0, 0.0)) -> None:
        """Args: linear: m/s that is commanded all the while; None: nothing is."""
        for tick in range(round(seconds * 100)):
            if linear is not None and tick % 5 == 0:
                assert self.twist(linear, angular) == ""
            self.now += TICK
            self.driver.advance(self.now)

    def twist(self, linear, angular=(0.0, 0.0, 0.0)) -> str:
        return self.driver.twist(Twist(self.now + 1, "world", np.array(linear), np.array(angular)), self.now + 1)

    @property
    def status(self):
        return self.driver.status()

    @property
    def hand(self) -> np.ndarray:
        return self.plant.state().hand


def test_the_hand_moves_as_fast_as_it_is_told_and_smoothly_stops_when_nobody_speaks(plant):
    bench = Bench(plant)
    begin = bench.hand
    bench.run(1.0, (0.0, 0.1, 0.1))
    assert bench.hand - begin == pytest.approx([0, 0.0965, 0.0965], abs=0.004)
    assert bench.status.servo is ServoStatus.OK and bench.status.mode is RobotMode.MOVING
    bench.run(1.0)
    rest = bench.hand
    assert 0.005 < rest[2] - begin[2] - 0.0965 < 0.02, "0.1 s of staleness and the way to brake"
    bench.run(0.5)
    assert np.abs(bench.hand - rest).max() < 0.001
    assert bench.status.servo is ServoStatus.STALE and bench.status.mode is RobotMode.IDLE


def test_the_hand_turns_as_it_is_told_and_stays_in_its_place(plant):
    bench = Bench(plant)
    begin = plant.state()
    bench.run(0.5, (0.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    end = plant.state()
    cosine = (np.trace(end.rotation @ begin.rotation.T) - 1) / 2
    assert 0.37 < np.arccos(cosine) < 0.5, "a rad/s for half a second, a little behind"
    assert np.abs(end.hand - begin.hand).max() < 0.005


def test_pressing_on_the_floor_ends_in_a_protective_stop_that_lasts_until_it_is_recovered(plant):
    bench = Bench(plant, contact_force=20.0)
    for _ in range(60):
        if bench.status.mode is RobotMode.REFLEX:
            break
        bench.twist((0.0, 0.0, -0.4))
        bench.run(0.05)
    assert (bench.status.fault, bench.status.servo) == (Fault.COLLISION, ServoStatus.HALT_FOR_COLLISION)
    stopped = bench.hand
    assert "recover" in bench.twist((0.0, 0.0, 0.2))
    bench.run(0.5)
    assert np.abs(bench.hand - stopped).max() < 0.01
    assert bench.driver.recover(bench.now) == ""
    bench.run(0.5, (0.0, 0.0, 0.2))
    assert bench.hand[2] > stopped[2] + 0.05


def test_the_emergency_stop_holds_the_arm_at_once_and_old_commands_do_not_move_it_afterwards(plant):
    bench = Bench(plant)
    bench.run(0.5, (0.0, 0.0, 0.3))
    bench.driver.emergency_stop(True, bench.now)
    before = bench.hand
    bench.run(0.5)
    assert np.linalg.norm(bench.hand - before) < 0.02
    assert bench.status.mode is RobotMode.USER_STOPPED
    assert bench.driver.recover(bench.now), "while it is pressed"
    bench.driver.emergency_stop(False, bench.now)
    old = bench.now - 1
    assert bench.driver.recover(bench.now) == ""
    stands = bench.hand
    assert bench.driver.twist(Twist(old, "world", np.array([0, 0, 0.3]), np.zeros(3)), bench.now) == ""
    bench.run(0.2)
    assert np.abs(bench.hand - stands).max() < 0.002
    assert bench.status.mode is RobotMode.IDLE


def trajectory(offset: float, seconds: float) -> JointTrajectory:
    return JointTrajectory(0, ARM_JOINTS, (Point(round(seconds * SECOND), tuple(HOME + offset), (0.0,) * 7),))


HOME = np.array([0.0, -0.16, 0.0, -2.44, 0.0, 2.23, 0.79])


def test_joints_follow_a_trajectory_and_stay_at_its_end(plant):
    bench = Bench(plant, Controller.JOINT_TRAJECTORY)
    assert bench.driver.trajectory(trajectory(0.2, 1.0), bench.now) == ""
    assert bench.status.trajectory is TrajectoryCode.ACCEPTED
    bench.run(1.5)
    assert plant.arm_position == pytest.approx(HOME + 0.2, abs=0.01)
    assert bench.status.trajectory is TrajectoryCode.SUCCESSFUL
    bench.run(0.5)
    assert plant.arm_position == pytest.approx(HOME + 0.2, abs=0.01)


def test_the_newest_trajectory_takes_the_place_of_the_one_before_without_a_jump(plant):
    bench = Bench(plant, Controller.JOINT_TRAJECTORY)
    bench.driver.trajectory(trajectory(0.3, 1.0), bench.now)
    bench.run(0.4)
    bench.driver.trajectory(trajectory(0.0, 1.0), bench.now)
    speeds = []
    for _ in range(150):
        bench.run(0.01)
        speeds.append(plant.arm_velocity)
    assert np.abs(np.diff(speeds, axis=0)).max() < 0.1
    assert plant.arm_position == pytest.approx(HOME, abs=0.01)


def test_each_controller_refuses_what_is_meant_for_the_other(plant):
    bench = Bench(plant)
    assert "servo" in bench.driver.trajectory(trajectory(0.1, 1.0), bench.now)
    assert bench.status.trajectory is TrajectoryCode.NOT_READY
    bench.driver.activate(Controller.JOINT_TRAJECTORY, bench.now)
    assert "joint_trajectory" in bench.twist((0.1, 0.0, 0.0))
    assert bench.status.servo is ServoStatus.INVALID


def test_a_paused_servo_ignores_commands(plant):
    bench = Bench(plant)
    bench.driver.pause(True, bench.now)
    assert "paused" in bench.twist((0.1, 0.0, 0.0))


def test_a_refused_trajectory_leaves_the_arm_where_it_is(plant):
    bench = Bench(plant, Controller.JOINT_TRAJECTORY)
    bench.driver.refuses_trajectories = True
    begin = plant.arm_position
    assert bench.driver.trajectory(trajectory(0.2, 1.0), bench.now)
    bench.run(0.5)
    assert bench.status.trajectory is TrajectoryCode.INVALID_GOAL
    assert plant.arm_position == pytest.approx(begin, abs=0.01)


def test_the_hand_takes_its_time_to_close_and_says_when_it_has(plant):
    bench = Bench(plant)
    assert bench.driver.grip({FINGER_JOINTS[0]: 0.0}) == ""
    bench.run(0.2)
    assert bench.status.gripper is GripperCode.MOVING and plant.finger[0] > 0.01
    bench.run(0.8)
    assert bench.status.gripper is GripperCode.REACHED and plant.finger[0] < 0.003


def test_time_that_the_machine_lost_is_not_made_up_for(plant):
    bench = Bench(plant)
    bench.run(0.1)
    bench.now += 5 * SECOND
    bench.driver.advance(bench.now)
    assert bench.status.overruns == 1 and bench.status.pace < 0.1
    begin = bench.hand
    bench.run(0.5, (0.0, 0.0, 0.1))
    assert bench.hand[2] - begin[2] == pytest.approx(0.0465, abs=0.004)


def test_joint_states_are_in_the_drivers_order_and_pictures_of_the_cameras_size(plant):
    state = plant.state()
    assert list(state.position) == [*FINGER_JOINTS, *ARM_JOINTS]
    assert {name: plant.picture(name).shape for name in plant.cameras} == {
        "agentview": (32, 32, 3),
        "eye_in_hand": (32, 32, 3),
    }
    assert all(f'name="{name}"' in plant.description for name in state.position)


def test_another_task_takes_the_scenes_place_and_a_wrong_one_does_not(plant):
    with pytest.raises(ValueError, match="99"):
        plant.reset(EpisodeStart(init_state=99))
    told = plant.instruction
    plant.reset(EpisodeStart(), SimulationConfig("libero_object", 1, image_size=(32, 32)))
    try:
        assert plant.instruction != told and not plant.goal_holds
    finally:
        plant.reset(EpisodeStart(), SimulationConfig("libero_object", 0, image_size=(32, 32)))

"""The driver: commands and faults in, motion out, by the wall clock that it is told. Knows no ROS."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from substep_core.units import NANOSECONDS
from substep_standin.gripper import Gripper, GripperCode
from substep_standin.joint_trajectory import (
    JointMotion,
    JointTrajectory,
    TrajectoryCode,
    TrajectoryRefused,
    accepted,
)
from substep_standin.latches import Fault, Latches, RobotMode
from substep_standin.plant import Plant
from substep_standin.servo import PoseReference, ServoInput, ServoStatus, Twist
from substep_standin.settings import ARM_JOINTS, DriverSettings

BASE_FRAMES = ("world", "panda_link0")  # of the cell and of the arm: not turned against each other
GRIP_SITE = "grip_site"
SENSED = 2.0  # times the collision threshold: most that the sensors say
MOVING = 0.005  # rad/s of a joint from which the arm counts as moving
PACE_WINDOW = 100  # ticks over which the pace is measured


class Controller(enum.StrEnum):
    """Who may move the arm."""

    SERVO = "servo"
    JOINT_TRAJECTORY = "joint_trajectory"


@dataclass(frozen=True)
class DriverStatus:
    """How the driver is.

    Attributes:
        refused: commands so far that were.
        overruns: times that time was lost because the machine was too slow.
        pace: physics' time over the wall's, lately; 1 unless time is lost.
    """

    mode: RobotMode
    fault: Fault
    servo: ServoStatus
    trajectory: TrajectoryCode
    gripper: GripperCode
    controller: Controller
    refused: int
    overruns: int
    pace: float


class Driver:
    """Args: now: ns of the wall clock; controller: who may move the arm at first."""

    def __init__(self, plant: Plant, settings: DriverSettings, now: int, controller: Controller) -> None:
        self._plant, self._settings = plant, settings
        self.controller = controller
        self._step = round(plant.step_time * NANOSECONDS)
        frames = {frame: partial(_turn, plant, frame) for frame in (*BASE_FRAMES, GRIP_SITE)}
        self._servo = ServoInput(settings.servo, frames)
        self._reference = PoseReference(settings.servo, *plant.hand)
        self._latches = Latches()
        self.paused = self.refuses_trajectories = self.rejects_gripper = False
        self.refused = self.overruns = 0
        self.restart(now)

    def restart(self, now: int) -> None:
        """After the scene was put back: standing, nothing commanded, no fault but a knob that is pressed."""
        self._latches.fault = Fault.EMERGENCY_STOP if self._latches.pressed else Fault.NONE
        self._gripper = Gripper()
        self._motion: JointMotion | None = None
        self._trajectory_code = TrajectoryCode.SUCCESSFUL
        self._invalid = False
        self._servo_status = ServoStatus.STALE
        self._force = 0.0
        self._time = now
        self._paces: deque[tuple[int, int]] = deque(maxlen=PACE_WINDOW)
        self._stand(now)

    # --- commands ---

    def twist(self, command: Twist, now: int) -> str:
        """Returns: why it is refused; empty: it counts."""
        why = self._not_moved_by(Controller.SERVO) or (self.paused and "the servo is paused") or ""
        why = why or self._servo.accept(command, now)
        self._invalid = bool(why)
        self.refused += bool(why)
        return why

    def trajectory(self, command: JointTrajectory, now: int) -> str:
        """Returns: why it is refused; empty: the arm follows it, and no other any more."""
        try:
            if why := self._not_moved_by(Controller.JOINT_TRAJECTORY):
                raise TrajectoryRefused(TrajectoryCode.NOT_READY, why)
            if self.refuses_trajectories:
                raise TrajectoryRefused(TrajectoryCode.INVALID_GOAL, "trajectories are refused now")
            position, velocity = self._motion.at(now) if self._motion else (self._held, np.zeros(len(ARM_JOINTS)))
            if not command.points:
                self._stand(now)
                self._trajectory_code = TrajectoryCode.SUCCESSFUL
                return ""
            settings = self._settings
            self._motion = accepted(command, now, position, velocity, settings.trajectory, settings.limits)
        except TrajectoryRefused as refusal:
            self._trajectory_code = refusal.code
            self.refused += 1
            return str(refusal)
        self._trajectory_code = TrajectoryCode.ACCEPTED
        return ""

    def grip(self, fingers: Mapping[str, float]) -> str:
        """Args: fingers: joint -> m. Returns: why it is rejected; empty: the hand begins to move."""
        why = "goals are rejected now" if self.rejects_gripper else ""
        if self._latches.fault is Fault.EMERGENCY_STOP:
            why = "the emergency stop holds the hand"
        why = self._gripper.command(fingers, why)
        self.refused += bool(why)
        return why

    def activate(self, controller: Controller, now: int) -> None:
        """Hands the arm over to it, standing."""
        self.controller = controller
        self._stand(now)

    def pause(self, paused: bool, now: int) -> None:
        self.paused = paused
        self._servo.forget(now)

    def emergency_stop(self, pressed: bool, now: int) -> None:
        """The knob: pressed, the arm stands at once; let go, it stays so until it is recovered."""
        self._latches.press(pressed)
        if pressed:
            self._stand(now)

    def recover(self, now: int) -> str:
        """Returns: why the arm stays stopped; empty: it obeys commands that are newer than now."""
        why = self._latches.recover()
        if not why:
            self._force = 0.0
            self._stand(now)
        return why

    # --- time ---

    def advance(self, now: int) -> None:
        """Physics up to now, a step at a time; what the machine cannot keep up with is lost."""
        backlog, most = now - self._time, round(self._settings.max_backlog * NANOSECONDS)
        if backlog > most:
            self.overruns += 1
            self._time = now - most
        begin = self._time
        while self._time + self._step <= now:
            self._time += self._step
            self._drive(self._time)
        self._supervise(now)
        self._paces.append((now, self._time - begin))

    def status(self) -> DriverStatus:
        moves = bool(np.abs(self._plant.arm_velocity).max() > MOVING)
        return DriverStatus(
            self._latches.mode(moves),
            self._latches.fault,
            self._servo_said,
            self._trajectory_code,
            self._gripper.code,
            self.controller,
            self.refused,
            self.overruns,
            self._pace(),
        )

    # --- within ---

    @property
    def _servo_said(self) -> ServoStatus:
        if self._latches.is_stopped:
            return ServoStatus.HALT_FOR_COLLISION
        return ServoStatus.INVALID if self._invalid else self._servo_status

    def _drive(self, now: int) -> None:
        """One step of physics."""
        plant, time = self._plant, self._plant.step_time
        if self.controller is Controller.SERVO and not self._latches.is_stopped:
            self._reference.advance(self._target(now), *plant.hand, time)
            plant.track(self._reference, self._gripper.goal)
        else:
            position, velocity = (self._held, np.zeros(len(ARM_JOINTS))) if not self._motion else self._motion.at(now)
            plant.servo_joints(position, velocity, self._gripper.goal)
        self._gripper.advance(*plant.finger, time)
        limits = self._settings.limits
        felt = min(plant.contact_force, SENSED * limits.contact_force)  # contacts of physics are stiffer than sensors
        self._force += time / limits.contact_time * (felt - self._force)

    def _target(self, now: int) -> np.ndarray:
        """(6,) velocity that the hand is to have."""
        target = self._servo.target(now)
        self._servo_status = ServoStatus.OK if self._servo.is_fresh(now) else ServoStatus.STALE
        if target.any() and self._runs_into_a_stop(target):
            self._servo_status = ServoStatus.JOINT_BOUND
            return np.zeros(6)
        return target

    def _runs_into_a_stop(self, target: np.ndarray) -> bool:
        limits, position = self._settings.limits, self._plant.arm_position
        below = position < np.array(limits.joint_low) + limits.stop_margin
        above = position > np.array(limits.joint_high) - limits.stop_margin
        if not (below | above).any():
            return False
        speed = np.linalg.lstsq(self._plant.jacobian, target, rcond=None)[0]
        return bool(((speed < 0) & below | (speed > 0) & above).any())

    def _supervise(self, now: int) -> None:
        """What a robot watches over itself: contact, speed, and whether a trajectory is followed."""
        limits = self._settings.limits
        fastest = np.array(limits.joint_velocity) * limits.velocity_margin
        if self._force > limits.contact_force:
            self._trip(Fault.COLLISION, now)
        elif (np.abs(self._plant.arm_velocity) > fastest).any():
            self._trip(Fault.JOINT_VELOCITY, now)
        if self._motion is not None:
            self._follow(now)

    def _follow(self, now: int) -> None:
        settings = self._settings.trajectory
        away = float(np.abs(self._motion.at(now)[0] - self._plant.arm_position).max())
        late = (now - self._motion.end) / NANOSECONDS
        if late < 0 and away > settings.path_tolerance:
            self._end_motion(TrajectoryCode.PATH_TOLERANCE_VIOLATED, now)
        elif late >= 0 and away <= settings.goal_tolerance:
            self._held, self._motion = self._motion.at(now)[0], None
            self._trajectory_code = TrajectoryCode.SUCCESSFUL
        elif late > settings.goal_time:
            self._end_motion(TrajectoryCode.GOAL_TOLERANCE_VIOLATED, now)

    def _end_motion(self, code: TrajectoryCode, now: int) -> None:
        self._stand(now)
        self._trajectory_code = code

    def _trip(self, fault: Fault, now: int) -> None:
        if self._latches.trip(fault):
            self._stand(now)

    def _stand(self, now: int) -> None:
        """Where the arm is now; what was commanded before does not move it any more."""
        if self._motion is not None:
            self._trajectory_code = TrajectoryCode.NOT_READY
        self._held, self._motion = self._plant.arm_position, None
        self._reference.restart(*self._plant.hand)
        self._servo.forget(now)

    def _not_moved_by(self, controller: Controller) -> str:
        if self._latches.is_stopped:
            return f"the arm is stopped ({self._latches.fault}): recover it first"
        if self.controller is not controller:
            return f"the active controller is {self.controller}, not {controller}"
        return ""

    def _pace(self) -> float:
        if len(self._paces) < 2:
            return 1.0
        wall = self._paces[-1][0] - self._paces[0][0]
        return (sum(passed for _, passed in self._paces) - self._paces[0][1]) / wall if wall else 1.0


def _turn(plant: Plant, frame: str) -> np.ndarray:
    """(3, 3) of a frame in the base frame."""
    return plant.hand[1] if frame == GRIP_SITE else np.eye(3)

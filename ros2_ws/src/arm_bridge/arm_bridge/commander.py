"""Actions of the contract -> commands that keep its limits: wishes, their shaping, and where they start from."""

from __future__ import annotations

from collections import deque
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from arm_bridge.command import ArmCommand, CommandRefused, Space
from arm_bridge.gate import Gate
from arm_bridge.places import CartesianPlaces, JointPlaces
from arm_bridge.shaping import ShapedStep, Shaper, VectorLimits
from substep_core.contract import (
    ActionGroup,
    ActionQuantity,
    JointLimit,
    MotionLimits,
    Pose,
    RobotContract,
    commanded_velocity,
)
from substep_core.rotation import axis_angle_to_quaternion, conjugate, quaternion_product

REMEMBERED = 2.0  # s of what was sent, to tell where the arm is by now
ROUNDING = 1e-6  # m or rad beyond the leash that say nothing
LINEAR, ANGULAR = slice(0, 3), slice(3, 6)


@dataclass(frozen=True)
class MeasuredArm:
    """The arm as measured last.

    Attributes:
        stamp: ns of ROS time, of the pose.
        pose: of the end effector in the base frame; None where none is measured.
        joints: name -> position.
    """

    stamp: int
    pose: Pose | None
    joints: dict[str, float]


class CartesianCommander:
    """Commands of the end effector, from differences.

    Args:
        origin: (3,) m in the base frame: what the workspace's corners are measured from.
        leash: m that a pose target may be ahead of the measured one; None: what is commanded are velocities, which
            start from where the arm is.
        leash_angle: rad that it may be turned ahead of it, where there is a leash.

    Raises:
        ValueError: the contract does not say what is needed.
    """

    def __init__(
        self,
        contract: RobotContract,
        origin: np.ndarray,
        leash: float | None = None,
        leash_angle: float | None = None,
    ) -> None:
        self._contract, self._leash, self._leash_angle = contract, leash, leash_angle
        self._groups = [
            (group, place)
            for quantity, place in ((ActionQuantity.DELTA_POSITION, LINEAR), (ActionQuantity.DELTA_ROTATION, ANGULAR))
            for group in contract.action_groups(quantity)[:1]
        ]
        _check_groups(contract, [group for group, _ in self._groups], Space.CARTESIAN)
        if contract.motion is None or contract.workspace is None:
            raise ValueError(f"robot {contract.name}: a Cartesian command needs the contract's motion and workspace")
        self._period = 1 / contract.rate
        self._places = CartesianPlaces(contract, origin)
        blocks = _cartesian_blocks(contract.motion)
        self._shaper, self.gate = Shaper(blocks, self._period), Gate(blocks, self._places.blocked)
        self._sent: deque[tuple[int, np.ndarray]] = deque(maxlen=round(REMEMBERED * contract.rate))
        self._target: Pose | None = None
        self._before = copy(self._shaper), self._target

    def rest(self) -> None:
        """The arm stands still, and the next command starts from where it is measured."""
        self._shaper.rest()
        self.gate.rest()
        self._sent.clear()
        self._target = None
        self._before = copy(self._shaper), None

    @property
    def is_at_rest(self) -> bool:
        return self._shaper.is_at_rest

    def play(self, action: np.ndarray, measured: MeasuredArm, now: int) -> ArmCommand:
        """One control step. action: (A,); now: ns of ROS time. Raises CommandRefused: it is not finite."""
        self._before = copy(self._shaper), self._target
        wish = np.zeros(6)
        for group, place in self._groups:
            wish[place] = commanded_velocity(self._contract, group, action)
        _check_finite(wish)
        start, here = self._start(measured, now), measured.pose
        return self._command(self._shaper.next(wish, start, lambda path: self._blocked(path, here)), start, now)

    def brake(self, measured: MeasuredArm, now: int) -> ArmCommand:
        """One control step of the stop; of velocities it needs no pose. Raises CommandRefused: none is measured."""
        self._before = copy(self._shaper), self._target
        start = np.zeros(6) if self._leash is None else self._start(measured, now)
        return self._command(self._shaper.brake(), start, now)

    def take_back(self) -> None:
        """The command that was made last has not left."""
        self._shaper, self._target = self._before

    def _blocked(self, path: np.ndarray, here: Pose) -> np.ndarray:
        out = self._places.blocked(path)
        if self._leash is not None:
            ahead = np.linalg.norm(path[:, LINEAR] - here.position, axis=1)
            out[LINEAR] |= ahead.max() > max(self._leash, ahead[0])
            turns = [axis_angle_to_quaternion(turned) for turned in path[:, ANGULAR]]
            angles = [_angle(quaternion_product(turn, self._target.quaternion), here.quaternion) for turn in turns]
            out[ANGULAR] |= max(angles) > max(self._leash_angle, angles[0])
        return out

    def _start(self, measured: MeasuredArm, now: int) -> np.ndarray:
        """(6,) where the arm is now: as measured, and on by what was sent since."""
        if measured.pose is None:
            raise CommandRefused("the end effector's pose is not measured")
        if self._leash is None:
            pose = measured.pose.position + self._since(measured.stamp, now)
        else:
            self._target = self._anchored(measured.pose)
            pose = self._target.position
        return np.concatenate([pose, np.zeros(3)])

    def _anchored(self, here: Pose) -> Pose:
        """The target; where the arm was moved away from it while nothing was commanded, where the arm is."""
        target = self._target or here
        is_away = float(np.linalg.norm(target.position - here.position)) > self._leash + ROUNDING
        is_away |= _angle(target.quaternion, here.quaternion) > self._leash_angle + ROUNDING
        return here if is_away and self.is_at_rest else target

    def _since(self, stamp: int, now: int) -> np.ndarray:
        """(3,) m covered since ``stamp``, as commanded."""
        covered, end = np.zeros(3), now
        for at, velocity in reversed(self._sent):
            if end <= stamp:
                break
            covered += velocity * max(0.0, min(end, now) - max(at, stamp)) / 1e9
            end = at
        return covered

    def _command(self, step: ShapedStep, start: np.ndarray, now: int) -> ArmCommand:
        positions = np.concatenate([start[None], start + np.cumsum(step.velocities, axis=0) * self._period])
        quaternion = np.array([0.0, 0.0, 0.0, 1.0])
        if self._target is not None:
            turn = axis_angle_to_quaternion(step.velocity[ANGULAR] * self._period)
            quaternion = quaternion_product(turn, self._target.quaternion)
            self._target = Pose(positions[1, LINEAR], quaternion)
        self._sent.append((now, step.velocity[LINEAR]))
        frame = self._contract.base_frame
        return ArmCommand(now, self._period, step.velocities, positions, frame, (), quaternion, step.is_stop)


class JointCommander:
    """Commands of joints by name, from positions or velocities.

    Args:
        leash: rad or m that a target may be ahead of the measured joint; None: what is commanded are velocities.

    Raises:
        ValueError: the contract does not say what is needed.
    """

    def __init__(self, contract: RobotContract, leash: float | None) -> None:
        self._contract, self._leash = contract, leash
        groups = [group for group in contract.action if group.quantity in JOINT_QUANTITIES]
        _check_groups(contract, groups, Space.JOINTS)
        (self._group,) = groups
        limits = [_limit_of(contract, name) for name in self._group.joints]
        self._period = 1 / contract.rate
        self._speeds = np.array([limit.velocity for limit in limits])
        self._accelerations = np.array([limit.acceleration for limit in limits])
        self._places = JointPlaces(limits)
        blocks = tuple(VectorLimits(1, each.velocity, each.acceleration, each.jerk or np.inf) for each in limits)
        self._shaper, self.gate = Shaper(blocks, self._period), Gate(blocks, self._places.blocked)
        self._target: np.ndarray | None = None
        self._before = copy(self._shaper), self._target

    def rest(self) -> None:
        """The arm stands still, and the next command starts from where it is measured."""
        self._shaper.rest()
        self.gate.rest()
        self._target = None
        self._before = copy(self._shaper), None

    @property
    def is_at_rest(self) -> bool:
        return self._shaper.is_at_rest

    def play(self, action: np.ndarray, measured: MeasuredArm, now: int) -> ArmCommand:
        """One control step. action: (A,); now: ns of ROS time. Raises CommandRefused: it is not finite."""
        self._before = copy(self._shaper), self._target
        here, start = self._here(measured), self._start(measured)
        values = self._values(action)
        _check_finite(values)
        wish = self._wish(values, start, self._shaper)
        return self._command(self._shaper.next(wish, start, lambda path: self._blocked(path, here)), start, now)

    def take_back(self) -> None:
        """The command that was made last has not left."""
        self._shaper, self._target = self._before

    def _values(self, action: np.ndarray) -> np.ndarray:
        """action (A,) -> (W,) rad or rad/s, m or m/s."""
        return np.asarray(action[self._contract.action_slice(self._group)], float) * self._group.scale

    def _wish(self, values: np.ndarray, start: np.ndarray, shaper: Shaper) -> np.ndarray:
        """(W,) velocities that lead from ``start`` to where an action wants the joints."""
        if self._group.quantity is ActionQuantity.JOINT_VELOCITY:
            return values
        return self._towards(values, start + shaper.pending)

    def foresee(self, command: ArmCommand, actions: np.ndarray) -> tuple[ArmCommand, list[Shaper]]:
        """What follows a command if these actions are played after it, in place of its stop.

        Args:
            command: as ``play`` or ``brake`` gave it last.
            actions: (N, A); the first that is not finite ends them, and is refused when its turn comes.

        Returns:
            the command with a velocity for each of them, and the stop after the last; and how velocities are shaped on
            after each of these steps, the stop's not among them.
        """
        shaper, place = copy(self._shaper), command.position
        velocities, braking, shapers = [command.velocity], command.velocities[1:], [copy(shaper)]
        for action in () if command.is_stop else actions:
            values = self._values(action)
            if not np.isfinite(values).all():
                break
            step = shaper.next(self._wish(values, place, shaper), place, self._places.blocked)
            velocities.append(step.velocity)
            braking = step.braking
            shapers.append(copy(shaper))
            place = place + step.velocity * self._period
        whole = np.concatenate([velocities, braking])
        path = command.positions[0] + np.cumsum(whole, axis=0) * self._period
        positions = np.concatenate([command.positions[:1], path])
        return replace(command, velocities=whole, positions=positions), shapers

    def follow(self, velocities: np.ndarray, place: np.ndarray, shaper: Shaper) -> None:
        """The arm has gone on by itself along what was foreseen.

        Args:
            velocities: (2, W) of the last two control steps; place: (W,) where they have led; shaper: after them.
        """
        self._shaper, self._target = shaper, place
        self.gate.follow(velocities)

    def brake(self, measured: MeasuredArm, now: int) -> ArmCommand:
        """One control step of the stop; of velocities it needs no joints. Raises CommandRefused: one is missing."""
        self._before = copy(self._shaper), self._target
        start = np.zeros(len(self._speeds)) if self._leash is None else self._start(measured)
        return self._command(self._shaper.brake(), start, now)

    def _towards(self, aim: np.ndarray, place: np.ndarray) -> np.ndarray:
        """(W,) velocities that lead from a place to positions and can be braked there."""
        gap = aim - place
        change = self._accelerations * self._period
        braked = change * (np.sqrt(0.25 + 2 * np.abs(gap) / (change * self._period)) - 0.5)
        return np.sign(gap) * np.minimum(np.minimum(np.abs(gap) / self._period, braked), self._speeds)

    def _blocked(self, path: np.ndarray, here: np.ndarray) -> np.ndarray:
        out = self._places.blocked(path)
        if self._leash is None:
            return out
        ahead = np.abs(path - here)
        return out | (ahead.max(axis=0) > np.maximum(self._leash, ahead[0]))

    def _here(self, measured: MeasuredArm) -> np.ndarray:
        missing = [name for name in self._group.joints if not np.isfinite(measured.joints.get(name, np.nan))]
        if missing:
            raise CommandRefused(f"joint {missing[0]} is not measured")
        return np.array([measured.joints[name] for name in self._group.joints])

    def _start(self, measured: MeasuredArm) -> np.ndarray:
        """(W,) what was commanded last, so that commands do not jump; after a rest, where the joints are.

        So are joints that were moved away from it while nothing was commanded.
        """
        here = self._here(measured)
        if self._target is None or self._leash is None:
            self._target = here
        elif self.is_at_rest:
            self._target = np.where(np.abs(self._target - here) > self._leash + ROUNDING, here, self._target)
        return self._target

    def _command(self, step: ShapedStep, start: np.ndarray, now: int) -> ArmCommand:
        positions = np.concatenate([start[None], start + np.cumsum(step.velocities, axis=0) * self._period])
        self._target = positions[1]
        joints = self._group.joints
        return ArmCommand(now, self._period, step.velocities, positions, joints=joints, is_stop=step.is_stop)


Commander = CartesianCommander | JointCommander
JOINT_QUANTITIES = (ActionQuantity.JOINT_POSITION, ActionQuantity.JOINT_VELOCITY)


def _cartesian_blocks(motion: MotionLimits) -> tuple[VectorLimits, VectorLimits]:
    return (
        VectorLimits(3, motion.linear_speed, motion.linear_acceleration, motion.linear_jerk),
        VectorLimits(3, motion.angular_speed, motion.angular_acceleration, motion.angular_jerk),
    )


def _check_groups(contract: RobotContract, wanted: list[ActionGroup], space: Space) -> None:
    """Raises: ValueError: the contract moves the robot by other groups than a command of this kind carries."""
    moving = [group for group in contract.action if group.is_motion]
    if moving == wanted and len(wanted) == (1 if space is Space.JOINTS else 2):
        return
    joints, cartesian = "one group of joint positions or velocities", "one delta_position and one delta_rotation group"
    takes = joints if space is Space.JOINTS else cartesian
    found = ", ".join(f"{group.name} ({group.quantity.value})" for group in moving) or "none"
    raise ValueError(f"robot {contract.name}: a {space.value} command takes {takes}, and the contract has {found}")


def _limit_of(contract: RobotContract, name: str) -> JointLimit:
    for limit in contract.joint_limits:
        if limit.name == name and limit.velocity is not None and limit.acceleration is not None:
            return limit
    raise ValueError(
        f"robot {contract.name}: joint {name} is commanded, and joint_limits has no low, high, velocity and "
        "acceleration of it"
    )


def _angle(one: np.ndarray, other: np.ndarray) -> float:
    """rad between two rotations (4,) xyzw, whichever their signs."""
    x, y, z, w = quaternion_product(one, conjugate(other))
    return 2 * float(np.arctan2(np.linalg.norm((x, y, z)), abs(w)))


def _check_finite(values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise CommandRefused(f"an action that is not finite: {values}")

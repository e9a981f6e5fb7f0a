"""Arbitrary chunks, as nobody sane would send them, played by an arm that follows every command at once.

For the test of the limits and for its benchmark: what leaves is read back from the messages, and held against the
contract without a line of the code that made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from arm_bridge.adapters.cartesian import CartesianPose, CartesianRate
from arm_bridge.adapters.grippers import FingerTrajectory
from arm_bridge.adapters.joints import JointTrajectoryTopic, JointVelocity
from arm_bridge.arm import ARM, Arm, Outgoing
from arm_bridge.intake import SensorSample
from arm_bridge.settings import ArmSettings, JointInput, StatusInput, load_arm
from substep_core.contract import (
    ActionGroup,
    ActionQuantity,
    Hold,
    JointLimit,
    Joints,
    JointSource,
    KeepOut,
    Pose,
    RobotContract,
    StateGroup,
    StateQuantity,
    action_limits,
)
from substep_core.protocol import SafetyState

HORIZON = 8
KINDS = ("ordinary", "jumping", "huge", "broken", "replayed", "reversed", "still")
SHARES = (0.35, 0.25, 0.1, 0.05, 0.1, 0.1, 0.05)
JOINTS = ("j1", "j2", "j3")
LAMP = KeepOut("lamp", (0.1, 0.1, 0.2), (0.25, 0.25, 0.6))
STATUS = StatusInput(topic="status", hold={1: "slow"}, fault={4: "protective stop"})
FINGERS = FingerTrajectory(topic="gripper", joints=("f",), opened=0.04, closed=0.0)
UPRIGHT = (0.70710678, 0.70710678, 0.0, 0.0)
RESTING = 60  # control steps in which every stop has ended


class LimitBroken(AssertionError):
    """A command beyond a limit has left."""


@dataclass(frozen=True)
class Played:
    """What became of many chunks."""

    chunks: int
    steps: int
    commands: int
    faults: int


def arbitrary_actions(contract: RobotContract, rng: np.random.Generator, chunks: int) -> Iterator[np.ndarray]:
    """The actions (A,) of that many chunks: smooth, jumping, huge, not finite, again, backwards, or zero."""
    low, high = action_limits(contract)
    last = np.zeros((HORIZON, contract.action_width))
    for _ in range(chunks):
        last = _chunk(rng.choice(KINDS, p=SHARES), rng, low, high, last)
        yield from last[: rng.integers(1, HORIZON + 1)]  # the rest comes too late, or is replaced


def _chunk(kind: str, rng: np.random.Generator, low: np.ndarray, high: np.ndarray, last: np.ndarray) -> np.ndarray:
    if kind == "replayed":
        return last
    if kind == "reversed":
        return last[::-1]
    if kind == "still":
        return np.zeros_like(last)
    if kind == "ordinary":
        return np.linspace(*rng.uniform(low, high, (2, len(low))), HORIZON)
    chunk = rng.uniform(low, high, (HORIZON, len(low)))
    if kind == "huge":
        return chunk * 10.0 ** rng.integers(1, 300)
    if kind == "broken":
        chunk[rng.integers(HORIZON), rng.integers(len(low))] = rng.choice([np.nan, np.inf, -np.inf])
    return chunk


# --- arms ---


def joint_contract(quantity: ActionQuantity) -> RobotContract:
    """Three joints and a gripper."""
    is_position = quantity is ActionQuantity.JOINT_POSITION
    arm = ActionGroup(
        "arm",
        quantity,
        3,
        unit="rad" if is_position else "rad/s",
        low=-3.0,
        high=3.0,
        hold=Hold.MEASURED if is_position else Hold.ZERO,
        measured_by="arm" if is_position else "",
        joints=JOINTS,
    )
    return RobotContract(
        name="three_joints",
        rate=20,
        cameras=(),
        state=(StateGroup("arm", StateQuantity.JOINT_POSITION, "rad", JointSource(JOINTS)),),
        action=(arm, ActionGroup("gripper", ActionQuantity.GRIPPER, 1, hold=Hold.LAST, initial=-1.0)),
        joint_limits=tuple(JointLimit(name, -1.5, 1.5, velocity=1.2, acceleration=4.0, jerk=60.0) for name in JOINTS),
    )


def _jointed(quantity: ActionQuantity, adapter: Any) -> tuple[RobotContract, ArmSettings]:
    joints = {"joint_states": JointInput(topic="/driver/joint_states")}
    settings = ArmSettings("three_joints", adapter, joints=joints, grippers=(FINGERS,), status=(STATUS,))
    return joint_contract(quantity), settings


def _cartesian(adapter: Any) -> tuple[RobotContract, ArmSettings]:
    """The stand-in without cameras, with a lamp in its way and a driver that says a number."""
    settings, contract = load_arm("standin")
    contract = replace(contract, cameras=(), workspace=replace(contract.workspace, keep_out=(LAMP,)))
    return contract, replace(settings, arm=adapter, cameras={}, grippers=(FINGERS,), status=(STATUS,))


ADAPTERS = {
    "cartesian_rate": lambda: _cartesian(CartesianRate(topic="twist")),
    "cartesian_pose": lambda: _cartesian(CartesianPose(topic="pose")),
    "joint_trajectory": lambda: _jointed(ActionQuantity.JOINT_POSITION, JointTrajectoryTopic(topic="trajectory")),
    "joint_velocity": lambda: _jointed(ActionQuantity.JOINT_VELOCITY, JointVelocity(topic="velocity")),
}


class Rig:
    """An arm whose drivers are played: sensors speak when they are told to, and time passes when it is told to."""

    def __init__(self, contract: RobotContract, settings: ArmSettings) -> None:
        self.contract, self.settings = contract, settings
        self.now = 1_000_000_000_000
        self.sent: list[Outgoing] = []
        self.transitions: list[Any] = []
        self.position, self.joints = np.array([0.0, 0.0, 0.4]), np.zeros(len(JOINTS))
        self.arm = Arm(
            contract, settings, self.sent.append, self.transitions.append, lambda: self.now, lambda: self.now / 1e9
        )

    def speak(self) -> None:
        """Every sensor says where the arm is."""
        for topic in self.settings.poses:
            pose = Pose(self.position.copy(), np.array(UPRIGHT))
            self.arm.hear(topic, SensorSample(self.now, self.now, pose))
        sources = [group.source for group in self.contract.state if isinstance(group.source, JointSource)]
        for topic in self.settings.joints:
            others = dict.fromkeys((name for each in sources if each.topic == topic for name in each.names), 0.0)
            joints = Joints(others | dict(zip(JOINTS, self.joints.tolist(), strict=True)))
            self.arm.hear(topic, SensorSample(self.now, self.now, joints))

    def ready(self) -> Rig:
        """Armed."""
        self.speak()
        why = self.arm.reset() or self.arm.shadow() or self.arm.arm()
        if why:
            raise RuntimeError(why)
        return self

    def pass_time(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)

    def step(self, action: Any) -> list[Outgoing]:
        """A control step later: sensors speak, and the arm is told this. What was sent."""
        self.sent.clear()
        self.pass_time(1 / self.contract.rate)
        self.speak()
        self.arm.step(np.asarray(action, float))
        return list(self.sent)

    @property
    def state(self) -> str:
        return self.arm.safety.state.words


# --- what left, held against the contract ---


class Watch:
    """Follows the commands of one rig, and moves its arm accordingly."""

    def __init__(self, rig: Rig) -> None:
        self._rig, self._period = rig, 1 / rig.contract.rate
        self.commands = 0
        self.rest()

    def rest(self) -> None:
        """The arm stands."""
        here = self._rig.position if self._rig.contract.motion else self._rig.joints
        self._velocities = [np.zeros(6 if self._rig.contract.motion else len(here))] * 3
        self._here = here

    def see(self, outgoing: Outgoing) -> None:
        """Raises LimitBroken: it is beyond a limit."""
        if outgoing.channel != ARM:
            (point,) = outgoing.message.points
            _demand(FINGERS.closed <= point.positions[0] <= FINGERS.opened, "gripper", point.positions)
            return
        self.commands += 1
        velocity = self._velocity(outgoing.message)
        _demand(np.isfinite(velocity).all(), "finite", velocity)
        self._velocities = [*self._velocities[1:], velocity]
        self._check_motion()
        move = velocity[: len(self._here)] * self._period
        self._here = self._here + move
        self._check_place()

    def _velocity(self, message: Any) -> np.ndarray:
        kind = type(message).__name__
        if kind == "TwistStamped":
            parts = message.twist.linear, message.twist.angular
            return np.array([getattr(part, axis) for part in parts for axis in "xyz"])
        if kind == "PoseStamped":
            place = np.array([getattr(message.pose.position, axis) for axis in "xyz"])
            return np.append((place - self._here) / self._period, np.zeros(3))
        if kind == "JointTrajectory":
            _demand(not any(message.points[-1].velocities), "a trajectory that ends in rest", message.points[-1])
            return (np.array(message.points[0].positions) - self._here) / self._period
        return np.array(message.data)

    def _check_motion(self) -> None:
        first = np.stack(self._velocities)
        second, third = np.diff(first, axis=0) / self._period, np.diff(first, 2, axis=0) / self._period**2
        motion = self._rig.contract.motion
        if motion is None:
            limit = self._rig.contract.joint_limits[0]
            for name, line in (("velocity", first), ("acceleration", second), ("jerk", third)):
                most = getattr(limit, name)
                _demand((np.abs(line[-1]) <= most * (1 + 1e-4) + 1e-5).all(), name, line[-1])
            return
        for part, place in (("linear", slice(0, 3)), ("angular", slice(3, 6))):
            for name, line in (("speed", first), ("acceleration", second), ("jerk", third)):
                most = getattr(motion, f"{part}_{name}")
                length = float(np.linalg.norm(line[-1, place]))
                _demand(length <= most * (1 + 1e-4) + 1e-5, f"{part} {name}", length)

    def _check_place(self) -> None:
        contract, here = self._rig.contract, self._here
        if contract.workspace is None:
            self._rig.joints = here
            limit = contract.joint_limits[0]
            _demand(((here >= limit.low - 1e-6) & (here <= limit.high + 1e-6)).all(), "joint limits", here)
            return
        self._rig.position = here
        low, high = np.array(contract.workspace.low), np.array(contract.workspace.high)
        _demand(((here >= low - 1e-6) & (here <= high + 1e-6)).all(), "the box", here)
        in_lamp = ((here > np.array(LAMP.low) + 1e-6) & (here < np.array(LAMP.high) - 1e-6)).all()
        _demand(not in_lamp, "out of the lamp", here)


def play(name: str, chunks: int, seed: int) -> Played:
    """Arbitrary chunks through one adapter.

    Raises:
        LimitBroken: a command beyond a limit has left.
    """
    rig = Rig(*ADAPTERS[name]()).ready()
    watch, faults, steps = Watch(rig), 0, 0
    for action in arbitrary_actions(rig.contract, np.random.default_rng(seed), chunks):
        steps += 1
        for outgoing in rig.step(action):
            watch.see(outgoing)
        if rig.arm.safety.state is SafetyState.FAULT:
            _demand(not np.isfinite(action).all(), "a fault that has a cause", action)
            faults += 1
            for outgoing in _stopped(rig):
                watch.see(outgoing)
            watch.rest()
            rig.ready()
    return Played(chunks, steps, watch.commands, faults)


def _stopped(rig: Rig) -> Iterator[Outgoing]:
    """After a fault the arm comes to rest, and only then is it armed anew."""
    still = np.zeros(rig.contract.action_width)
    for _ in range(RESTING):
        yield from rig.step(still)
        if rig.arm.is_at_rest:
            return
    raise LimitBroken("the arm does not come to rest")


def _demand(is_so: bool, what: str, found: Any) -> None:
    if not is_so:
        raise LimitBroken(f"{what}: {found}")

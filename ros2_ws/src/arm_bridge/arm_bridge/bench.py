"""Arbitrary chunks, as nobody sane would send them, played by an arm that follows every command at once.

For the test of the limits and for its benchmark: what leaves is read back from the messages, and held against the
contract without a line of the code that made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from arm_bridge.adapters.cartesian import CartesianPose, CartesianRate
from arm_bridge.adapters.grippers import FingerTrajectory
from arm_bridge.adapters.joints import JointTrajectoryChunks, JointTrajectoryTopic, JointVelocity
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
DRAWN = 1000  # chunks at a time
SMOOTH = np.linspace(0.0, 1.0, HORIZON)[:, None]
KINDS = ("ordinary", "jumping", "huge", "broken", "replayed", "reversed", "still")
SHARES = (0.35, 0.25, 0.1, 0.05, 0.1, 0.1, 0.05)
JOINTS = ("j1", "j2", "j3")
LAMP = KeepOut("lamp", (0.1, 0.1, 0.2), (0.25, 0.25, 0.6))
STATUS = StatusInput(topic="status", hold={1: "slow"}, fault={4: "protective stop"})
FINGERS = FingerTrajectory(topic="gripper", joints=("f",), opened=0.04, closed=0.0)
UPRIGHT = (0.70710678, 0.70710678, 0.0, 0.0)
ORDERS = ("speed", "acceleration", "jerk")
RESTING = 60  # control steps in which every stop has ended


class LimitBroken(AssertionError):
    """A command beyond a limit has left."""


@dataclass(frozen=True)
class PlayedChunks:
    """What became of many chunks."""

    chunks: int
    steps: int
    commands: int
    faults: int

    def __add__(self, other: PlayedChunks) -> PlayedChunks:
        return PlayedChunks(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class StretchOfChunks:
    """Of one chunk (HORIZON, A) the first ``played`` are played; the rest comes too late, or is replaced."""

    chunk: np.ndarray
    played: int


def arbitrary_chunks(contract: RobotContract, rng: np.random.Generator, chunks: int) -> Iterator[StretchOfChunks]:
    """That many: smooth, jumping, huge, not finite, again, backwards, or zero."""
    low, high = action_limits(contract)
    last = np.zeros((HORIZON, contract.action_width))
    for first in range(0, chunks, DRAWN):
        count = min(DRAWN, chunks - first)
        kinds = rng.choice(KINDS, size=count, p=SHARES).tolist()
        played = rng.integers(1, HORIZON + 1, count).tolist()
        values = rng.uniform(low, high, (count, HORIZON, len(low)))
        for kind, number, drawn in zip(kinds, played, values, strict=True):
            last = _chunk(kind, rng, drawn, last)
            yield StretchOfChunks(last, number)


def _chunk(kind: str, rng: np.random.Generator, drawn: np.ndarray, last: np.ndarray) -> np.ndarray:
    """drawn, last: (HORIZON, A) within the limits, and the chunk before."""
    if kind == "replayed":
        return last
    if kind == "reversed":
        return last[::-1]
    if kind == "still":
        return np.zeros_like(last)
    if kind == "ordinary":
        return drawn[0] + SMOOTH * (drawn[-1] - drawn[0])
    if kind == "huge":
        return drawn * 10.0 ** rng.integers(1, 300)
    if kind == "broken":
        drawn[rng.integers(HORIZON), rng.integers(drawn.shape[1])] = rng.choice([np.nan, np.inf, -np.inf])
    return drawn


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
    "joint_trajectory_chunks": lambda: _jointed(
        ActionQuantity.JOINT_POSITION, JointTrajectoryChunks(topic="trajectory", ahead=0.3)
    ),
    "joint_velocity": lambda: _jointed(ActionQuantity.JOINT_VELOCITY, JointVelocity(topic="velocity")),
}


class Rig:
    """An arm whose drivers are played: sensors speak when they are told to, and time passes when it is told to."""

    def __init__(self, contract: RobotContract, settings: ArmSettings) -> None:
        self.contract, self.settings = contract, settings
        self.now = 1_000_000_000_000
        self.sent: list[Outgoing] = []
        self.transitions: list[Any] = []
        self.position, self.rotation = np.array([0.0, 0.0, 0.4]), np.array(UPRIGHT)
        self.joints = np.zeros(len(JOINTS))
        self.arm = Arm(
            contract, settings, self.sent.append, self.transitions.append, lambda: self.now, lambda: self.now / 1e9
        )

    def speak(self) -> None:
        """Every sensor says where the arm is."""
        for topic in self.settings.poses:
            pose = Pose(self.position.copy(), self.rotation.copy())
            self.arm.hear(topic, SensorSample(self.now, self.now, pose))
        sources = [group.source for group in self.contract.state if isinstance(group.source, JointSource)]
        for topic in self.settings.joints:
            others = dict.fromkeys((name for each in sources if each.topic == topic for name in each.names), 0.0)
            others |= {limit.name: 0.0 for limit in self.contract.joint_limits}
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

    def step(self, action: Any, ahead: Sequence[np.ndarray] = ()) -> list[Outgoing]:
        """A control step later: sensors speak, and the arm is told this. What was sent."""
        self.sent.clear()
        self.pass_time(1 / self.contract.rate)
        self.speak()
        self.arm.step(np.asarray(action, float), ahead)
        return list(self.sent)

    @property
    def state(self) -> str:
        return self.arm.safety.state.words


# --- what left, held against the contract ---


class Watch:
    """Follows the commands of one rig, and moves its arm accordingly."""

    def __init__(self, rig: Rig) -> None:
        self._rig, self._period = rig, 1 / rig.contract.rate
        self._limits = _limits(rig.contract)
        self.commands = 0
        self.rest()

    def rest(self) -> None:
        """The arm stands."""
        self._here = self._rig.position if self._rig.contract.motion else self._rig.joints
        self._before = np.zeros((3, 6 if self._rig.contract.motion else len(self._here)))
        self._plan = np.zeros((0, self._before.shape[1]))

    def see(self, sent: Sequence[Outgoing]) -> None:
        """What was sent in a control step; the arm makes it. Raises LimitBroken: it is beyond a limit."""
        for outgoing in sent:
            if outgoing.channel != ARM:
                (point,) = outgoing.message.points
                _demand(FINGERS.closed <= point.positions[0] <= FINGERS.opened, "gripper", point.positions)
                continue
            self.commands += 1
            self._plan = self._velocities(outgoing.message)
            self._check(self._plan)
        self._move()

    def _move(self) -> None:
        """A trajectory goes on without another word; a velocity and a pose have to be told every time."""
        velocity = self._plan[0] if len(self._plan) else np.zeros(self._before.shape[1])
        self._before = np.concatenate([self._before[1:], velocity[None]])
        self._here = self._here + velocity[: len(self._here)] * self._period
        self._plan = self._plan[1:]
        if self._rig.contract.motion:
            self._rig.position = self._here
        else:
            self._rig.joints = self._here

    def _velocities(self, message: Any) -> np.ndarray:
        """(N, W) of the control steps that a message is about."""
        kind = type(message).__name__
        if kind == "TwistStamped":
            parts = message.twist.linear, message.twist.angular
            return np.array([[part.x, part.y, part.z] for part in parts]).reshape(1, 6)
        if kind == "PoseStamped":
            place = message.pose.position
            return np.append((np.array([place.x, place.y, place.z]) - self._here) / self._period, np.zeros(3))[None]
        if kind == "JointTrajectory":
            points = message.points
            _demand(not any(points[-1].velocities), "a trajectory that ends in rest", points[-1])
            times = [point.time_from_start.sec + point.time_from_start.nanosec / 1e9 for point in points]
            expected = self._period * np.arange(1, len(times) + 1)
            _demand(np.abs(times - expected).max() < 1e-8, "a point a control step", times)
            places = np.array([self._here, *(point.positions for point in points)])
            return np.diff(places, axis=0) / self._period
        return np.array([message.data])

    def _check(self, plan: np.ndarray) -> None:
        _demand(np.isfinite(plan).all(), "finite", plan)
        line = np.concatenate([self._before[1:], plan])
        orders = line, np.diff(line, axis=0) / self._period, np.diff(line, 2, axis=0) / self._period**2
        for name, values, most in zip(ORDERS, orders, self._limits, strict=True):
            lengths = np.sqrt((values**2).reshape(len(values), len(most), -1).sum(axis=2).max(axis=0))
            _demand((lengths <= most * (1 + 1e-4) + 1e-5).all(), name, lengths)
        path = self._here + np.cumsum(plan[:, : len(self._here)], axis=0) * self._period
        self._check_place(path)

    def _check_place(self, path: np.ndarray) -> None:
        """path: (N, W) rad, or m."""
        contract = self._rig.contract
        if contract.workspace is None:
            limit = contract.joint_limits[0]
            _demand(limit.low - 1e-6 <= path.min() and path.max() <= limit.high + 1e-6, "joint limits", path)
            return
        low, high = contract.workspace.low, contract.workspace.high
        for here in path.tolist():
            box = all(least - 1e-6 <= value <= most + 1e-6 for value, least, most in zip(here, low, high, strict=True))
            _demand(box, "the box", here)
            corners = zip(here, LAMP.low, LAMP.high, strict=True)
            _demand(not all(least + 1e-6 < value < most - 1e-6 for value, least, most in corners), "no lamp", here)


def _limits(contract: RobotContract) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Speed, acceleration and jerk, each of the linear and the angular part, or of each joint."""
    motion, limits = contract.motion, contract.joint_limits
    if motion is None:
        return tuple(np.array([getattr(limit, name) for limit in limits]) for name in ("velocity", *ORDERS[1:]))
    return tuple(np.array([getattr(motion, f"{part}_{name}") for part in ("linear", "angular")]) for name in ORDERS)


def play(name: str, chunks: int, seed: int) -> PlayedChunks:
    """Arbitrary chunks through one adapter.

    Raises:
        LimitBroken: a command beyond a limit has left.
    """
    rig = Rig(*ADAPTERS[name]()).ready()
    watch, faults, steps = Watch(rig), 0, 0
    for stretch in arbitrary_chunks(rig.contract, np.random.default_rng(seed), chunks):
        for number in range(stretch.played):
            action, ahead = stretch.chunk[number], stretch.chunk[number + 1 :]
            steps += 1
            watch.see(rig.step(action, ahead))
            if rig.arm.safety.state is SafetyState.FAULT:
                _demand(not np.isfinite(action).all(), "a fault that has a cause", action)
                faults += 1
                _stop(rig, watch)
    return PlayedChunks(chunks, steps, watch.commands, faults)


def _stop(rig: Rig, watch: Watch) -> None:
    """After a fault the arm comes to rest, and only then is it armed anew."""
    still = np.zeros(rig.contract.action_width)
    for _ in range(RESTING):
        watch.see(rig.step(still))
        if rig.arm.is_at_rest:
            watch.rest()
            rig.ready()
            return
    raise LimitBroken("the arm does not come to rest")


def _demand(is_so: bool, what: str, found: Any) -> None:
    if not is_so:
        raise LimitBroken(f"{what}: {found}")

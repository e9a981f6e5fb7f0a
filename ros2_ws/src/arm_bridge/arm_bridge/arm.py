"""The arm without ROS: sensors, safety states and commands put together, for two threads.

The bridge's thread asks for observations and makes control steps. The drivers' thread brings what sensors say, and
watches: where no control step has come for two periods it stops the arm, whatever the bridge is doing.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from arm_bridge.command import ArmCommand, CommandRefused, Space
from arm_bridge.commander import CartesianCommander, Commander, JointCommander, MeasuredArm
from arm_bridge.grippers import GripperCommander
from arm_bridge.intake import Intake, SensorSample
from arm_bridge.joint_parts import JointParts
from arm_bridge.kinematics import Chain, JointEffort
from arm_bridge.safety import READY, SafetyStates, Transition
from arm_bridge.settings import ArmSettings, camera_input
from arm_bridge.status import StatusWatch
from arm_bridge.told_ahead import ToldAhead
from arm_bridge.way import CommandedWay, MeasuredWay
from substep_core.contract import ActionQuantity, JointSource, RobotContract
from substep_core.protocol import HoldKind, Reason, SafetyState

LATE = 2.0  # control periods without a step after which the arm is stopped
ARM = "arm"
ROUNDING = 0.1  # of a control period


@dataclass(frozen=True)
class Outgoing:
    """A message for a driver.

    Attributes:
        channel: ``ARM``, or the index of a gripper.
        is_shadow: it is only shown, and not sent.
    """

    channel: str | int
    message: Any
    is_shadow: bool


class Arm:
    """One arm.

    Attributes:
        times_armed: by an operator; a robot that goes on after a hold is none.
        wanted_joints: that the contract names, and that must be measured.

    Args:
        send: hands a message to a driver, or shows it.
        tell: told of every change of the safety state, and of what holds commands back in it.
        clock: ns of ROS time; steady: s of a monotonic clock.

    Raises:
        ValueError: contract and settings do not fit.
    """

    def __init__(
        self,
        contract: RobotContract,
        settings: ArmSettings,
        send: Callable[[Outgoing], None],
        tell: Callable[[Transition], None],
        clock: Callable[[], int],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._contract, self._settings, self._send = contract, settings, send
        self._clock, self._steady, self._on_transition = clock, steady, tell
        self._lock = threading.RLock()
        self.intake = Intake(
            {camera_input(name): camera.limits for name, camera in settings.cameras.items()}
            | {name: each.limits for name, each in (settings.joints | settings.poses).items()}
        )
        self._cameras = frozenset(map(camera_input, settings.cameras))
        self._joint_parts = {
            topic: JointParts(names, settings.joints[topic].max_skew, _limited(contract))
            for topic, names in _joints_of(contract).items()
        }
        self._limited = _limited(contract)
        self.wanted_joints = self._limited.union(*_joints_of(contract).values())
        self._status = [StatusWatch(each) for each in settings.status]
        self.safety = SafetyStates(self._changed, settings.settle)
        self._told = self.safety.hindrance.kind
        self._chain: Chain | None = None
        self._no_chain = f"{settings.description.topic}: no description has come" if settings.description else ""
        self._looked_at: tuple[float, ...] = ()  # positions of its joints
        self._effort = ""  # that they were beyond
        self._commander = _commander(contract, settings)
        self._steps_ahead = _steps_ahead(contract, settings)
        self._trajectory = ToldAhead(self._commander) if self._steps_ahead else None
        self._gripper_groups = contract.action_groups(ActionQuantity.GRIPPER)
        self._grippers = [GripperCommander(*each) for each in zip(self._gripper_groups, settings.grippers, strict=True)]
        self._measured_way, self._commanded_way = MeasuredWay(), CommandedWay()
        self._pose_topic = contract.position.source.topic if contract.position is not None else None
        self._stepped = self._commanded_at = steady()
        self._is_stopping = False
        self._is_paused = True
        self.times_armed = 0

    # --- the drivers' thread ---

    def hear(self, name: str, sample: SensorSample) -> None:
        """A sensor has spoken. name: of ``camera_input``, or a topic of the contract."""
        with self._lock:
            if parts := self._joint_parts.get(name):
                if parts.learn(sample):
                    self.intake.inputs[name].forget()
                sample = parts.whole(sample, self._clock())
                self.intake.inputs[name].awaits(parts.awaited)
                if sample is None:
                    return
            is_camera = name in self._cameras
            way = self._measured_way if is_camera else self._commanded_way
            self.intake.add(name, sample, self._clock(), way.total)
            if name == self._pose_topic or (self._pose_topic is None and not is_camera):
                self._measured_way.add(name, sample.value)

    def refuse(self, name: str, why: str) -> None:
        """A sensor has said something that is none of its values."""
        with self._lock:
            self.intake.inputs[name].refuse(why)

    def read(self, name: str, sample: SensorSample, why: str = "") -> None:
        """A sample of the newest observation was looked at; see ``Input.read``."""
        with self._lock:
            self.intake.inputs[name].read(sample, why)

    def hear_status(self, index: int, number: float) -> None:
        """A driver has said a number."""
        with self._lock:
            if not math.isfinite(number):
                self.safety.fail(f"{self._settings.status[index].topic} says {number}, expected a whole number")
                return
            self._status[index].hear(int(number), self._steady())
            self._look()

    def fail(self, why: str) -> None:
        """A driver has refused what it was told."""
        with self._lock:
            self.safety.fail(why)

    def watch(self) -> None:
        """Call several times in a control period."""
        with self._lock:
            self._look()
            since = self._steady() - self._commanded_at
            if self._is_late and since >= (1 - ROUNDING) / self._contract.rate:
                self._stop()

    def hear_description(self, text: str) -> None:
        """The robot's URDF. What is none, or has not the links that are wanted, is a fault."""
        told = self._settings.description
        with self._lock:
            self._chain, self._looked_at = None, ()
            try:
                self._chain = Chain.from_urdf(text, told.base, told.tip)
            except ValueError as error:
                self._no_chain = f"{told.topic}: {error}"
                self.safety.fail(str(error))
                return
            for parts in self._joint_parts.values():
                parts.also |= set(self._chain.joints) - parts.names

    # --- the operator ---

    def shadow(self) -> str:
        with self._lock:
            self._look()
            if self._is_stopping:
                return "the robot is being stopped: ask again when it stands"
            return self.safety.shadow()

    def arm(self) -> str:
        with self._lock:
            self._look()
            return self.safety.arm()

    def disarm(self) -> str:
        with self._lock:
            return self.safety.disarm()

    def forget_faults(self) -> None:
        """What drivers have said of earlier commands does not count any more."""
        with self._lock:
            for status in self._status:
                status.forget()

    def reset(self) -> str:
        with self._lock:
            self._look()
            return self.safety.reset()

    # --- the bridge's thread ---

    def step(self, action: np.ndarray, ahead: Sequence[np.ndarray] = (), arming: int | None = None) -> None:
        """One control step: action (A,).

        Args:
            ahead: those that are played after it if nothing newer comes.
            arming: ``times_armed`` that it was computed under; where the robot has been armed since, the stop leaves in
                its place. None: it was computed now.
        """
        with self._lock:
            self._stepped = self._steady()
            self._is_paused = False
            self._look()
            is_of_now = arming is None or arming == self.times_armed
            takes_commands = self.safety.state in (SafetyState.ARMED, SafetyState.SHADOW) and not self.safety.hindrance
            if takes_commands and is_of_now:
                self._play(action, ahead)
            else:
                self._stop()

    @property
    def is_at_rest(self) -> bool:
        """Nothing that was commanded moves the arm any more."""
        with self._lock:
            return self._is_at_rest

    def stop(self) -> None:
        """One control step of the stop."""
        with self._lock:
            self._stepped = self._steady()
            self._stop()

    def pause(self, pausing: bool = True) -> None:
        """While the scene is put back nothing is sent, and no control step is waited for."""
        with self._lock:
            self._is_paused = pausing
            if pausing:
                self._rest()
                self.intake.forget()

    @property
    def hindrance(self) -> Reason[HoldKind]:
        """Why the arm takes no commands now."""
        with self._lock:
            self._look()
            return self.safety.hindrance

    def trouble(self) -> Reason[HoldKind]:
        """What is amiss, whatever the safety state."""
        with self._lock:
            return self._trouble()

    def observation(self) -> tuple[int, dict[str, SensorSample]] | None:
        """The newest instant of which every sensor has spoken; None: one has not spoken yet."""
        with self._lock:
            return self.intake.observation()

    # --- inside ---

    def _play(self, action: np.ndarray, ahead: Sequence[np.ndarray]) -> None:
        try:
            slices = map(self._contract.action_slice, self._gripper_groups)
            positions = [gripper.play(action[place]) for gripper, place in zip(self._grippers, slices, strict=True)]
            # last: where anything is refused the stop leaves, and must be all that the arm is told in this step
            self._command(partial(self._commander.play, action, self._measured()), ahead)
            for index, position in enumerate(positions):
                if position is not None and self.safety.state is not SafetyState.FAULT:  # a driver's that is not there
                    self._emit(index, self._settings.grippers[index].message(position))
        except CommandRefused as error:
            self.safety.fail(str(error))
            self._stop()

    def _stop(self) -> None:
        """The contract's hold: down to rest, within the limits. Where commands are not sent it ends with that."""
        is_sent = self.safety.state in (SafetyState.ARMED, SafetyState.HOLDING) or self._is_stopping
        if not is_sent and self._is_at_rest:
            return
        try:
            self._brake(is_sent)
        except CommandRefused as error:
            self.safety.fail(str(error))
            self._halt(is_sent)
        if self._is_at_rest and self.safety.state is not SafetyState.HOLDING:
            self._is_stopping = False

    @property
    def _is_at_rest(self) -> bool:
        moves_on = self._trajectory is not None and self._trajectory.moves_on
        return self._commander.is_at_rest and not moves_on

    def _brake(self, is_sent: bool) -> None:
        """Raises: CommandRefused: nothing has left."""
        self._command(partial(self._commander.brake, self._measured()), (), is_shadow=not is_sent)

    def _halt(self, is_sent: bool) -> None:
        """Where the stop itself is refused: no velocity, or the measured position, at once."""
        self._forget_motion()
        with suppress(CommandRefused):  # a position that nobody measures cannot be said
            self._brake(is_sent)

    def _next(self, make: Callable[[int], ArmCommand]) -> tuple[ArmCommand, bool]:
        """The command of a control step, and whether it is news to the driver.

        A bridge that is late says what the arm has played by itself meanwhile, and that is as it should be. Only what
        departs from that goes on from where the arm is by now.
        """
        told, now = self._trajectory, self._clock()
        if told is None:
            return make(now), True
        command = make(told.time(now))
        is_known = told.covers(command)
        if not is_known and told.catch_up(now):
            command = make(told.time(now))
            is_known = told.covers(command)
        return command, not is_known

    def _command(
        self, make: Callable[[int], ArmCommand], ahead: Sequence[np.ndarray], is_shadow: bool | None = None
    ) -> None:
        """A control step; what is ahead of it is told too where the driver takes that, and only what it does not know.

        Args:
            make: its command, given the ns of ROS time at which it begins.

        Raises:
            CommandRefused: nothing has left.
        """
        command, is_news = self._next(make)
        self._commanded_at = self._steady()  # also where nothing needs to leave
        told, shapers = self._trajectory, []
        try:
            if told is not None and is_news:
                command, shapers = self._commander.foresee(command, ahead[: self._steps_ahead])
            self._commander.gate.check(command)
        except CommandRefused:
            self._commander.take_back()
            raise
        if is_news:
            self._emit(ARM, self._settings.arm.message(command), is_shadow)
            if told is not None:
                told.note(command, shapers)
        self._count(command)

    def _emit(self, channel: str | int, message: Any, is_shadow: bool | None = None) -> None:
        shadow = self.safety.state is SafetyState.SHADOW if is_shadow is None else is_shadow
        for status in () if shadow else self._status:
            status.commanded()
        self._send(Outgoing(channel, message, shadow))

    def _count(self, command: ArmCommand) -> None:
        if self.safety.state is not SafetyState.SHADOW:
            self._commanded_way.add(command)

    def _look(self) -> None:
        self.safety.look(self._trouble(), self._steady())
        if (hindrance := self.safety.hindrance).kind is not self._told:
            self._tell(Transition(self.safety.state, self.safety.state, hindrance.text or "nothing is amiss"))

    def _tell(self, transition: Transition) -> None:
        self._told = self.safety.hindrance.kind
        self._on_transition(transition)

    def _trouble(self) -> Reason[HoldKind]:
        troubles = [status.trouble(self._steady()) for status in self._status]
        faults = [trouble for trouble in troubles if trouble.kind is HoldKind.ROBOT_FAULT]
        if faults:
            return faults[0]
        if seen := self._unseen():
            return seen
        if self._is_late:
            late = f"no control step for {self._steady() - self._stepped:.2f} s"
            return Reason(HoldKind.ROBOT_HALTED, late)
        return next(filter(None, troubles), None) or self._singularity()

    def _singularity(self) -> Reason[HoldKind]:
        """Whether some motion of the end effector would take faster joints than the contract allows."""
        limits = self._contract.singularity
        if limits is None:
            return READY
        if self._chain is None:
            return Reason(HoldKind.ROBOT_HALTED, self._no_chain)
        joints = self._measured().joints
        if missing := [name for name in self._chain.joints if name not in joints]:
            return Reason(HoldKind.OBSERVATION_LOST, f"joint {missing[0]} of the robot's description is not measured")
        places = tuple(joints[name] for name in self._chain.joints)
        if places != self._looked_at:  # joints speak more rarely than this is asked
            effort = JointEffort.of(self._chain.jacobian(joints))
            self._looked_at, self._effort = places, effort.beyond(limits)
        return Reason(HoldKind.ROBOT_HALTED, self._effort) if self._effort else READY

    def _unseen(self) -> Reason[HoldKind]:
        now = self._clock()
        for each in self.intake.inputs.values():
            if why := each.trouble(now):
                return Reason(HoldKind.OBSERVATION_LOST, why)
        if unsaid := self._limited.difference(*(parts.names for parts in self._joint_parts.values())):
            topics = ", ".join(self._joint_parts)
            return Reason(HoldKind.OBSERVATION_LOST, f"joint {min(unsaid)} of joint_limits is not said on {topics}")
        return self.intake.apart()

    @property
    def _is_late(self) -> bool:
        if self._is_paused or not (self.safety.sends or self._is_stopping):
            return False
        return self._steady() - self._stepped > LATE / self._contract.rate

    def _measured(self) -> MeasuredArm:
        poses = self.intake.inputs.get(self._pose_topic) if self._pose_topic else None
        pose = poses.newest if poses is not None else None
        joints: dict[str, float] = {}
        for topic in self._settings.joints:
            if sample := self.intake.inputs[topic].newest:
                joints |= sample.value.position
        return MeasuredArm(pose.stamp if pose else 0, pose.value if pose else None, joints)

    def _changed(self, transition: Transition) -> None:
        if transition.before is SafetyState.ARMED or transition.before is SafetyState.HOLDING:
            self._is_stopping = not self._is_at_rest
        self.times_armed += transition.before is SafetyState.SHADOW and transition.after is SafetyState.ARMED
        if transition.after in (SafetyState.SHADOW, SafetyState.ARMED) and transition.before is not SafetyState.HOLDING:
            self._rest()
        self._tell(transition)

    def _forget_motion(self) -> None:
        """The arm stands, whatever it was told."""
        self._commander.rest()
        if self._trajectory is not None:
            self._trajectory.forget()

    def _rest(self) -> None:
        self._forget_motion()
        self._is_stopping = False
        for gripper in self._grippers:
            gripper.rest()


def _joints_of(contract: RobotContract) -> dict[str, set[str]]:
    """Topic -> the joints that the contract names on it."""
    joints: dict[str, set[str]] = {}
    for group in contract.state:
        if isinstance(group.source, JointSource):
            joints.setdefault(group.source.topic, set()).update(group.source.names)
    return joints


def _limited(contract: RobotContract) -> frozenset[str]:
    """Joints whose place the contract limits."""
    return frozenset(limit.name for limit in contract.joint_limits)


def _steps_ahead(contract: RobotContract, settings: ArmSettings) -> int:
    """Control steps that are told after the first. Raises: ValueError: ``ahead`` is less than one."""
    ahead, steps = settings.arm.ahead, round(settings.arm.ahead * contract.rate)
    if ahead and not steps:
        raise ValueError(
            f"arm type {settings.arm.type!r}: ahead is {ahead:g} s, expected at least a control step of contract "
            f"{contract.name}, {1 / contract.rate:g} s; joint_trajectory is told every step anew"
        )
    return steps


def _commander(contract: RobotContract, settings: ArmSettings) -> Commander:
    if settings.arm.space is Space.JOINTS:
        return JointCommander(contract, settings.arm.leash)
    if settings.arm.ahead:
        raise ValueError(f"arm type {settings.arm.type!r}: only commands to joints can be told ahead")
    return CartesianCommander(
        contract, np.array(settings.workspace_origin), settings.arm.leash, settings.arm.leash_angle
    )

"""Arms for tests: contracts, settings, and a clock that is turned by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from arm_bridge.adapters.cartesian import CartesianPose, CartesianRate
from arm_bridge.adapters.grippers import FingerTrajectory
from arm_bridge.adapters.joints import JointTrajectoryTopic, JointVelocity
from arm_bridge.arm import Arm, Outgoing
from arm_bridge.intake import Sample
from arm_bridge.settings import ArmSettings, JointInput, StatusInput, load_arm
from substep_core.contract import (
    ActionGroup,
    ActionQuantity,
    Hold,
    JointLimit,
    Joints,
    JointSource,
    Pose,
    RobotContract,
    StateGroup,
    StateQuantity,
)

SETTINGS, CONTRACT = load_arm("standin")
JOINTS = ("j1", "j2", "j3")
STATUS = StatusInput(topic="status", hold={1: "slow"}, fault={4: "protective stop"})
FINGERS = FingerTrajectory(topic="gripper", joints=("f",), opened=0.04, closed=0.0)


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


def joint_settings(adapter, **changes) -> ArmSettings:
    joints = {"joint_states": JointInput(topic="/driver/joint_states")}
    return ArmSettings("three_joints", adapter, joints=joints, grippers=(FINGERS,), status=(STATUS,), **changes)


def cartesian(adapter=None) -> tuple[RobotContract, ArmSettings]:
    """The stand-in without cameras, with a driver that says a number."""
    contract = replace(CONTRACT, cameras=())
    adapter = adapter or CartesianRate(topic="twist")
    return contract, replace(SETTINGS, arm=adapter, cameras={}, grippers=(FINGERS,), status=(STATUS,))


ADAPTERS = {
    "cartesian_rate": lambda: cartesian(),
    "cartesian_pose": lambda: cartesian(CartesianPose(topic="pose")),
    "joint_trajectory": lambda: (
        joint_contract(ActionQuantity.JOINT_POSITION),
        joint_settings(JointTrajectoryTopic(topic="trajectory")),
    ),
    "joint_velocity": lambda: (
        joint_contract(ActionQuantity.JOINT_VELOCITY),
        joint_settings(JointVelocity(topic="velocity")),
    ),
}


class Rig:
    """An arm whose drivers are played by hand: what is sent moves it at once."""

    def __init__(self, contract: RobotContract, settings: ArmSettings) -> None:
        self.contract, self.settings = contract, settings
        self.now = 1_000_000_000_000
        self.sent: list[Outgoing] = []
        self.transitions = []
        self.position, self.joints = np.array([0.0, 0.0, 0.4]), np.zeros(3)
        self.arm = Arm(
            contract, settings, self.sent.append, self.transitions.append, lambda: self.now, lambda: self.now / 1e9
        )

    def speak(self, stamp: int | None = None) -> None:
        """Every sensor says where the arm is."""
        stamp = self.now if stamp is None else stamp
        quaternion = np.array([0.70710678, 0.70710678, 0.0, 0.0])
        for topic in self.settings.poses:
            content = hash((*self.position, stamp))
            self.arm.hear(topic, Sample(stamp, content, Pose(self.position.copy(), quaternion)))
        names = JOINTS if self.contract.name == "three_joints" else ("panda_finger_joint1", "panda_finger_joint2")
        for topic in self.settings.joints:
            joints = Joints(dict(zip(names, self.joints.tolist(), strict=False)))
            self.arm.hear(topic, Sample(stamp, hash((*self.joints, stamp)), joints))

    def ready(self) -> Rig:
        """Armed."""
        self.speak()
        assert self.arm.shadow() == "" and self.arm.arm() == ""
        return self

    def pass_time(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)

    def step(self, action) -> list[Outgoing]:
        """A control step later: sensors speak, and the arm is told this. What was sent."""
        before = len(self.sent)
        self.pass_time(1 / self.contract.rate)
        self.speak()
        self.arm.step(np.asarray(action, float))
        return self.sent[before:]

    @property
    def state(self) -> str:
        return self.arm.safety.state.value

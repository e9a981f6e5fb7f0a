"""What stops the arm until somebody recovers it: protective stop and emergency stop."""

from __future__ import annotations

import enum


class RobotMode(enum.IntEnum):
    """As a Franka's driver numbers them."""

    OTHER = 0
    IDLE = 1
    MOVING = 2
    REFLEX = 4
    USER_STOPPED = 5


class Fault(enum.StrEnum):
    NONE = "none"
    COLLISION = "collision"
    JOINT_VELOCITY = "joint_velocity"
    EMERGENCY_STOP = "emergency_stop"


class Latches:
    """The first fault stays until ``recover``; the emergency stop comes before all others.

    Attributes:
        fault: what the arm is stopped by.
        pressed: the emergency stop's knob is.
    """

    def __init__(self) -> None:
        self.fault, self.pressed = Fault.NONE, False

    @property
    def is_stopped(self) -> bool:
        return self.fault is not Fault.NONE

    def trip(self, fault: Fault) -> bool:
        """Whether it is this that stops the arm now."""
        if self.is_stopped and fault is not Fault.EMERGENCY_STOP:
            return False
        self.fault = fault
        return True

    def press(self, pressed: bool) -> None:
        """Of the knob. Letting it go starts nothing."""
        self.pressed = pressed
        if pressed:
            self.trip(Fault.EMERGENCY_STOP)

    def recover(self) -> str:
        """Returns: why the arm stays stopped; empty: it may move again."""
        if self.pressed:
            return "the emergency stop is pressed: release it first"
        self.fault = Fault.NONE
        return ""

    def mode(self, moves: bool) -> RobotMode:
        if self.fault is Fault.EMERGENCY_STOP:
            return RobotMode.USER_STOPPED
        if self.is_stopped:
            return RobotMode.REFLEX
        return RobotMode.MOVING if moves else RobotMode.IDLE

"""What leaves for an arm in one control step, before it is put into a driver's message."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np


class Space(enum.StrEnum):
    """What a command is about."""

    CARTESIAN = "cartesian"  # the end effector: linear x, y, z and angular x, y, z
    JOINTS = "joints"


class CommandRefused(ValueError):
    """A command beyond a limit, which must not leave; the message says which."""


@dataclass(frozen=True)
class ArmCommand:
    """One control step, and the stop after it.

    Attributes:
        stamp: ns of ROS time at which it begins.
        period: s of a control step.
        velocities: (1 + M, W) of this step and of those of the stop, the last of them zero; in m/s and rad/s.
        positions: (2 + M, W) where that leads from: the first is where it begins. Cartesian: its first three, m in the
            base frame.
        frame: that Cartesian commands are expressed in.
        joints: W names, of a command to joints.
        quaternion: (4,) xyzw of the end effector at the end of this step, where it is known.
        is_stop: it is a step of the stop.
    """

    stamp: int
    period: float
    velocities: np.ndarray
    positions: np.ndarray
    frame: str = ""
    joints: tuple[str, ...] = ()
    quaternion: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0, 0.0, 1.0]))
    is_stop: bool = False

    @property
    def velocity(self) -> np.ndarray:
        return self.velocities[0]

    @property
    def position(self) -> np.ndarray:
        """(W,) at the end of this step."""
        return self.positions[1]

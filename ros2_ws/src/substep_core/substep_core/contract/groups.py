"""State and action groups: name, quantity, unit and frame of neighbouring values of a robot's vectors."""

from __future__ import annotations

import enum
import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from substep_core.configuration import configuration

Quaternion = tuple[float, float, float, float]
NO_ROTATION: Quaternion = (0.0, 0.0, 0.0, 1.0)


class StateQuantity(enum.StrEnum):
    """What a state group measures."""

    POSITION = "position"  # of a frame, 3 values
    ROTATION = "rotation"  # of a frame, as a rotation vector (axis times angle), 3 values
    JOINT_POSITION = "joint_position"
    JOINT_VELOCITY = "joint_velocity"
    GRIPPER_POSITION = "gripper_position"  # of each finger's joint


class ActionQuantity(enum.StrEnum):
    """What an action group commands."""

    DELTA_POSITION = "delta_position"  # of the end effector, from where it is, 3 values
    DELTA_ROTATION = "delta_rotation"  # of the end effector, as a rotation vector, 3 values
    JOINT_POSITION = "joint_position"
    JOINT_VELOCITY = "joint_velocity"
    GRIPPER = "gripper"  # one value a gripper, from its ``opened`` to its ``closed``
    BASE_VELOCITY = "base_velocity"


class Hold(enum.StrEnum):
    """What a group is told while nothing is played."""

    ZERO = "zero"  # no motion: right for differences and velocities
    LAST = "last"  # what it was told last, before the first command its ``initial``
    MEASURED = "measured"  # where the state group named in ``measured_by`` is when the hold begins


@configuration
class PoseSource:
    """A part of a geometry_msgs/PoseStamped.

    Attributes:
        topic: relative name of the topic.
        part: "position" (m) or "rotation".
        turned_by: quaternion xyzw from the topic's frame to the frame that the group describes: R_group = R_topic · R.
    """

    topic: str
    part: Literal["position", "rotation"]
    turned_by: Quaternion = NO_ROTATION
    type: Literal["pose"] = "pose"

    def __post_init__(self) -> None:
        norm = math.sqrt(sum(value * value for value in self.turned_by))
        if abs(norm - 1.0) > 1e-6:
            raise ValueError(f"turned_by {self.turned_by} has norm {norm:.6f}, expected a unit quaternion xyzw")

    @property
    def width(self) -> int:
        return 3


@configuration
class JointSource:
    """Joints of sensor_msgs/JointState, by name, in the group's order.

    Attributes:
        field: which of the message's arrays.
    """

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    field: Literal["position", "velocity"] = "position"
    topic: str = "joint_states"
    type: Literal["joints"] = "joints"

    @property
    def width(self) -> int:
        return len(self.names)


@configuration
class StateGroup:
    """Neighbouring values of the state vector (proprioception).

    Attributes:
        unit: SI, "m", "rad", "m/s" or "rad/s".
        frame: that a position or rotation is expressed in; empty for joints.
        source: where the values come from.
        opening: of a gripper: weights of its joints whose sum is the distance between the fingers in m.
        empty: of a gripper: m between the fingers below which nothing is held; 0: it cannot be told.
        let_go: of a gripper: m by which the fingers come further apart than they had grasped when they let go.
    """

    name: str
    quantity: StateQuantity
    unit: str
    source: Annotated[PoseSource | JointSource, Field(discriminator="type")]
    frame: str = ""
    opening: tuple[float, ...] = ()
    empty: Annotated[float, Field(ge=0)] = 0.0
    let_go: Annotated[float, Field(ge=0)] = 0.0

    def __post_init__(self) -> None:
        if self.opening and len(self.opening) != self.width:
            raise ValueError(
                f"state group {self.name!r}: opening has {len(self.opening)} weights for {self.width} values"
            )
        part = self.source.part if isinstance(self.source, PoseSource) else None
        if part is not None and part != self.quantity.value:
            raise ValueError(f"state group {self.name!r}: quantity {self.quantity.value!r} cannot come from a {part}")

    @property
    def width(self) -> int:
        return self.source.width


@configuration
class ActionGroup:
    """Neighbouring values of the action vector.

    Attributes:
        unit: of the command, "m", "rad", "rad/s" …; empty for a gripper.
        frame: that a motion of the end effector is expressed in; empty for joints and grippers.
        scale: what a value of 1 commands, in ``unit``.
        low, high: values that may be commanded.
        max_step: largest length of the command in one control step, in ``unit``; for positions of joints the largest
            change of each. None: no limit but ``low`` and ``high``.
        max_change: most that the command may change within ``change_time``, all changes from one control step to the
            next added up, in ``unit``; of a gripper how often it may turn between opening and closing. None: no limit.
        response: of differences: part of a commanded motion that the robot covers within the control step.
        hold: what the group is told while nothing is played.
        measured_by: state group that ``Hold.MEASURED`` reads.
        initial: of ``Hold.LAST``: each value before the first command.
        joints: names of the joints that are commanded, where there are any.
        opened, closed: of a gripper: the values that open and close it.
    """

    name: str
    quantity: ActionQuantity
    width: Annotated[int, Field(ge=1)]
    unit: str = ""
    frame: str = ""
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    low: float = -1.0
    high: float = 1.0
    max_step: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_change: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    response: float = Field(default=1.0, gt=0, le=1)
    hold: Hold = Hold.ZERO
    measured_by: str = ""
    initial: float = 0.0
    joints: tuple[str, ...] = ()
    opened: float = -1.0
    closed: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"action group {self.name!r}: low {self.low} is not below high {self.high}")
        if self.joints and len(self.joints) != self.width:
            raise ValueError(f"action group {self.name!r} has {len(self.joints)} joints and width {self.width}")
        if (self.hold is Hold.MEASURED) != bool(self.measured_by):
            raise ValueError(f"action group {self.name!r}: measured_by belongs to hold 'measured', and only to it")
        if self.quantity is ActionQuantity.JOINT_POSITION and self.hold is Hold.ZERO:
            raise ValueError(
                f"action group {self.name!r}: hold 'zero' sends joints to their zero positions, expected 'measured' or "
                "'last'"
            )
        if self.quantity is ActionQuantity.GRIPPER and self.opened == self.closed:
            raise ValueError(f"action group {self.name!r}: opened and closed are both {self.opened}")

    @property
    def is_gripper(self) -> bool:
        return self.quantity is ActionQuantity.GRIPPER

    @property
    def is_motion(self) -> bool:
        """It moves the arm or the base."""
        return not self.is_gripper

    def closedness(self, commands: np.ndarray) -> np.ndarray:
        """Of a gripper: commands (…) -> −1 where they open it, 1 where they close it, linear between and beyond."""
        middle, half = (self.opened + self.closed) / 2, (self.closed - self.opened) / 2
        return (commands - middle) / half

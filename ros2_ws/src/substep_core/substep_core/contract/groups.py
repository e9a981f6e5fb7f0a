"""State and action groups: name, quantity, unit and frame of neighbouring values of a robot's vectors."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from substep_core.configuration import configuration
from substep_core.ros_names import Name, OptionalFrameName, TopicName

Quaternion = tuple[float, float, float, float]
NO_ROTATION: Quaternion = (0.0, 0.0, 0.0, 1.0)


class StateQuantity(enum.StrEnum):
    """What a state group measures."""

    POSITION = "position"  # of a frame
    ROTATION = "rotation"  # of a frame, as a rotation vector (axis times angle)
    JOINT_POSITION = "joint_position"
    JOINT_VELOCITY = "joint_velocity"
    GRIPPER_POSITION = "gripper_position"  # of each finger's joint


class ActionQuantity(enum.StrEnum):
    """What an action group commands."""

    DELTA_POSITION = "delta_position"  # of the end effector, from where it is
    DELTA_ROTATION = "delta_rotation"  # of the end effector, as a rotation vector
    JOINT_POSITION = "joint_position"
    JOINT_VELOCITY = "joint_velocity"
    GRIPPER = "gripper"  # one gripper, from its ``opened`` to its ``closed``
    BASE_VELOCITY = "base_velocity"


class Hold(enum.StrEnum):
    """What a group is told while nothing is played."""

    ZERO = "zero"  # no motion: right for differences and velocities
    LAST = "last"  # what it was told last, before the first command its ``initial``
    MEASURED = "measured"  # where the state group named in ``measured_by`` is when the hold begins


Unit = Literal["m", "rad", "m/s", "rad/s"]
UnitOrNone = Literal["m", "rad", "m/s", "rad/s", ""]  # one list: of a union each part would be refused by itself
LENGTHS: tuple[Unit, ...] = ("m",)
ANGLES: tuple[Unit, ...] = ("rad",)
PLACES: tuple[Unit, ...] = ("rad", "m")  # of joints that turn, and of those that slide
SPEEDS: tuple[Unit, ...] = ("rad/s", "m/s")


@dataclass(frozen=True)
class Meaning:
    """What a quantity asks of its groups.

    Attributes:
        units: that it may be measured or commanded in; none: it has no unit.
        width: number of its values; None: as many as there are joints.
        part: of the source that a state group reads: a pose's, or a field of joints.
    """

    units: tuple[Unit, ...]
    width: int | None = None
    part: str = ""

    def check(self, unit: str, width: int) -> None:
        """Raises: ValueError: what a group says is not what its quantity asks for."""
        if unit not in (self.units or ("",)):
            raise ValueError(f"unit is {unit!r}, expected {' or '.join(map(repr, self.units)) or 'none'}")
        if self.width not in (None, width):
            raise ValueError(f"width is {width}, expected {self.width}")


MEASURED = {
    StateQuantity.POSITION: Meaning(LENGTHS, 3, "position"),
    StateQuantity.ROTATION: Meaning(ANGLES, 3, "rotation"),
    StateQuantity.JOINT_POSITION: Meaning(PLACES, part="position"),
    StateQuantity.JOINT_VELOCITY: Meaning(SPEEDS, part="velocity"),
    StateQuantity.GRIPPER_POSITION: Meaning(PLACES, part="position"),
}
COMMANDED = {
    ActionQuantity.DELTA_POSITION: Meaning(LENGTHS, 3),
    ActionQuantity.DELTA_ROTATION: Meaning(ANGLES, 3),
    ActionQuantity.JOINT_POSITION: Meaning(PLACES),
    ActionQuantity.JOINT_VELOCITY: Meaning(SPEEDS),
    ActionQuantity.GRIPPER: Meaning((), 1),
    ActionQuantity.BASE_VELOCITY: Meaning(SPEEDS),
}
OF_POSES = (StateQuantity.POSITION, StateQuantity.ROTATION)
STAYING = (ActionQuantity.JOINT_POSITION, ActionQuantity.GRIPPER)  # commands that say where to be


@configuration
class PoseSource:
    """A part of a geometry_msgs/PoseStamped.

    Attributes:
        topic: relative name of the topic.
        part: "position" (m) or "rotation".
        turned_by: quaternion xyzw from the topic's frame to the frame that the group describes: R_group = R_topic · R.
    """

    topic: TopicName
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

    names: Annotated[tuple[Name, ...], Field(min_length=1)]
    field: Literal["position", "velocity"] = "position"
    topic: TopicName = "joint_states"
    type: Literal["joints"] = "joints"

    def __post_init__(self) -> None:
        _check_unique(self.names)

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

    name: Name
    quantity: StateQuantity
    unit: Unit
    source: Annotated[PoseSource | JointSource, Field(discriminator="type")]
    frame: OptionalFrameName = ""
    opening: tuple[float, ...] = ()
    empty: Annotated[float, Field(ge=0)] = 0.0
    let_go: Annotated[float, Field(ge=0)] = 0.0

    def __post_init__(self) -> None:
        if self.opening and len(self.opening) != self.width:
            raise ValueError(
                f"state group {self.name!r}: opening has {len(self.opening)} weights for {self.width} values"
            )
        with _named(f"state group {self.name!r}", self.quantity):
            meaning = MEASURED[self.quantity]
            self._check_source(meaning)
            meaning.check(self.unit, self.width)

    def _check_source(self, meaning: Meaning) -> None:
        of_pose = isinstance(self.source, PoseSource)
        part = self.source.part if of_pose else self.source.field
        if of_pose != (self.quantity in OF_POSES) or part != meaning.part:
            expected = f"the {meaning.part} of {'a pose' if self.quantity in OF_POSES else 'joints'}"
            raise ValueError(f"source is the {part} of {'a pose' if of_pose else 'joints'}, expected {expected}")

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
        initial: of ``Hold.LAST``, which needs it: before the first command, one number for each value, or one for all.
        joints: names of the joints that are commanded, where there are any.
        opened, closed: of a gripper: the values that open and close it.
    """

    name: Name
    quantity: ActionQuantity
    width: Annotated[int, Field(ge=1, le=1000)]
    unit: UnitOrNone = ""
    frame: OptionalFrameName = ""
    scale: float = Field(default=1.0, gt=0)
    low: float = -1.0
    high: float = 1.0
    max_step: float | None = Field(default=None, gt=0)
    max_change: float | None = Field(default=None, gt=0)
    response: float = Field(default=1.0, gt=0, le=1)
    hold: Hold = Hold.ZERO
    measured_by: str = ""
    initial: float | tuple[float, ...] | None = None
    joints: tuple[Name, ...] = ()
    opened: float = -1.0
    closed: float = 1.0

    def __post_init__(self) -> None:
        with _named(f"action group {self.name!r}", self.quantity):
            COMMANDED[self.quantity].check(self.unit, self.width)
            self._check_values()
            self._check_hold()

    def _check_values(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.joints and len(self.joints) != self.width:
            raise ValueError(f"it has {len(self.joints)} joints and width {self.width}")
        _check_unique(self.joints)
        if self.is_gripper and self.opened == self.closed:
            raise ValueError(f"opened and closed are both {self.opened}")
        if isinstance(self.initial, tuple) and len(self.initial) != self.width:
            raise ValueError(f"initial has {len(self.initial)} numbers, expected one or {self.width}, as its width")
        for name in ("initial", *(("opened", "closed") if self.is_gripper else ())):
            self._check_within(name)

    def _check_within(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and not all(self.low <= each <= self.high for each in np.atleast_1d(value)):
            said = list(value) if isinstance(value, tuple) else value
            raise ValueError(f"{name} is {said}, expected from low {self.low} to high {self.high}")

    def _check_hold(self) -> None:
        if (self.hold is Hold.ZERO) is (self.quantity in STAYING):
            wrong = "would send it to its zero" if self.hold is Hold.ZERO else "would have it go on moving"
            right = "'last' or 'measured'" if self.hold is Hold.ZERO else "'zero'"
            raise ValueError(f"hold {self.hold.value!r} {wrong}, expected {right}")
        if (self.hold is Hold.MEASURED) != bool(self.measured_by):
            raise ValueError("measured_by belongs to hold 'measured', and only to it")
        says_nothing = self.initial in (None, 0.0)  # 0 as in the contracts of older checkpoints
        if self.hold is not Hold.LAST and not says_nothing:
            raise ValueError(f"initial belongs to hold 'last', and only to it; hold is {self.hold.value!r}")
        if self.hold is Hold.LAST and self.initial is None:
            raise ValueError("hold 'last' needs initial: what counts as commanded before the first command")

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


@contextmanager
def _named(group: str, quantity: enum.StrEnum) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{group} of quantity {quantity.value!r}: {error}") from None


def _check_unique(joints: Sequence[str]) -> None:
    if twice := [name for name, count in Counter(joints).items() if count > 1]:
        raise ValueError(f"joints {', '.join(map(repr, twice))} are named more than once")

"""The contract's top level: control rate, cameras, state and action groups, limits."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated

from pydantic import Field

from substep_core.configuration import configuration
from substep_core.contract.groups import ActionGroup, ActionQuantity, Hold, StateGroup, StateQuantity
from substep_core.ros_names import FrameName, Name

SKILL_NAME = r"^[a-z]+( [a-z]+)*$"  # words that substeps begin with

Positive = Annotated[float, Field(gt=0)]
Pixels = Annotated[int, Field(ge=1, le=16384)]


class CameraRole(enum.StrEnum):
    """What a camera is for, so that others can choose one without knowing its name."""

    SCENE = "scene"  # looks at the workspace from outside
    WRIST = "wrist"  # moves with the hand


@configuration
class Camera:
    """One camera; its topics are ``camera/<name>/image_raw`` and ``camera/<name>/camera_info``.

    Attributes:
        height, width: pixels.
        frame: optical frame of its images: x right, y down, z forward.
        source: its name in the simulator or driver, where that is another one.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z]\w*$")]
    role: CameraRole
    height: Pixels
    width: Pixels
    frame: FrameName
    source: str = ""

    @property
    def driver_name(self) -> str:
        return self.source or self.name


@configuration
class KeepOut:
    """A box that the end effector stays out of: corners in m, as those of the workspace."""

    name: Name
    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def __post_init__(self) -> None:
        _check_corners(f"keep_out {self.name!r}", self.low, self.high)


@configuration
class Workspace:
    """The box that the end effector stays in: corners in m, along the axes of the frame it is measured in.

    Attributes:
        keep_out: boxes within it that the end effector stays out of.
        origin: what the corners are measured from, in words; the bridge knows where that is.
        approach: direction, in the frame of the corners, that the end effector's z axis points in when it is upright.
        max_tilt: rad, largest angle between the end effector's z axis and ``approach``; None: no limit.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    origin: str
    approach: tuple[float, float, float] = (0.0, 0.0, -1.0)
    max_tilt: float | None = Field(default=None, gt=0, le=math.pi)
    keep_out: tuple[KeepOut, ...] = ()

    def __post_init__(self) -> None:
        if abs(math.hypot(*self.approach) - 1.0) > 1e-6:
            raise ValueError(
                f"workspace approach {self.approach} has length {math.hypot(*self.approach):.6f}, expected 1"
            )
        _check_corners("workspace", self.low, self.high)


@configuration
class MotionLimits:
    """What the end effector of a robot that is no simulation may be told at most, as lengths of vectors.

    Attributes:
        linear_speed, angular_speed: m/s, rad/s.
        linear_acceleration, angular_acceleration: m/s², rad/s².
        linear_jerk, angular_jerk: m/s³, rad/s³.
    """

    linear_speed: Positive
    angular_speed: Positive
    linear_acceleration: Positive
    angular_acceleration: Positive
    linear_jerk: Positive
    angular_jerk: Positive


@configuration
class SingularityLimits:
    """How near to a singularity an arm may come that is told how its end effector moves.

    It halts where some motion of the end effector takes faster joints than this: ratios that are infinite at a
    singularity, each with the other motion held.

    Attributes:
        linear: rad/s (m/s of a joint that slides) of the joints, as a vector, for 1 m/s of the end effector.
        angular: the same for 1 rad/s.
    """

    linear: Positive
    angular: Positive


@configuration
class JointLimit:
    """Where a joint must stay, as measured, rad or m; and what it may be told at most, where it is commanded by name.

    Attributes:
        velocity, acceleration, jerk: in rad or m and s; None: no limit.
    """

    name: Name
    low: float
    high: float
    velocity: Positive | None = None
    acceleration: Positive | None = None
    jerk: Positive | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"joint {self.name!r}: low {self.low} is not below high {self.high}")


@configuration
class RobotContract:
    """Everything that a program must know to observe and to command a robot.

    Attributes:
        rate: control steps a second, 0.1 to 1000 Hz.
        state: groups of the proprioception vector, in its order.
        action: groups of the action vector, in its order.
        max_horizon: most actions of a chunk.
        workspace: limits of the end effector, where the action moves one.
        joint_limits: of joints on the contract's JointState topics.
        change_time: s in which changes of the command are added up, see ``ActionGroup.max_change``.
        motion: limits of what an end effector is told that is no simulated one.
        singularity: how near to one an arm may come, where its kinematics are known.
        base_frame: that poses are published in.
        skills: what it can do, by the words that substeps begin with: motions of the substep language, or others such
            as "wipe"; none: all motions of the language, and nothing else.
    """

    name: Name
    rate: Annotated[float, Field(ge=0.1, le=1000)]
    cameras: tuple[Camera, ...]
    state: Annotated[tuple[StateGroup, ...], Field(min_length=1)]
    action: Annotated[tuple[ActionGroup, ...], Field(min_length=1)]
    max_horizon: int = Field(default=64, ge=1, le=10_000)
    workspace: Workspace | None = None
    joint_limits: tuple[JointLimit, ...] = ()
    change_time: float = Field(default=0.5, gt=0, le=60)
    base_frame: FrameName = "world"
    motion: MotionLimits | None = None
    singularity: SingularityLimits | None = None
    skills: tuple[Annotated[str, Field(pattern=SKILL_NAME)], ...] = ()

    def __post_init__(self) -> None:
        if twice := [skill for skill, count in Counter(self.skills).items() if count > 1]:
            raise ValueError(f"skills has {', '.join(map(repr, twice))} more than once")
        for what in ("cameras", "state", "action", "joint_limits"):
            counts = Counter(item.name for item in getattr(self, what))
            if twice := [name for name, count in counts.items() if count > 1]:
                raise ValueError(f"{what} has {', '.join(map(repr, twice))} more than once")
        for group in self.action:
            if group.hold is Hold.MEASURED:
                _check_measured(group, self.state_group(group.measured_by))
        if self.workspace is not None and not (self.action_groups(ActionQuantity.DELTA_POSITION) and self.position):
            raise ValueError("a workspace needs a delta_position action group and a position state group")
        if self.workspace is not None and self.workspace.max_tilt is not None and self.rotation is None:
            raise ValueError("a workspace's max_tilt needs a rotation state group")

    # --- sizes ---

    @property
    def period_ns(self) -> int:
        """Nanoseconds of a control step."""
        return round(1e9 / self.rate)

    @property
    def change_steps(self) -> int:
        """Control steps in ``change_time``, at least one."""
        return max(1, round(self.change_time * self.rate))

    @cached_property
    def state_width(self) -> int:
        return sum(group.width for group in self.state)

    @cached_property
    def action_width(self) -> int:
        return sum(group.width for group in self.action)

    # --- finding groups ---

    def state_group(self, name: str) -> StateGroup:
        """Raises: ValueError: there is none of that name."""
        return _named(self.state, name, f"state group of robot {self.name}")

    def state_groups(self, quantity: StateQuantity) -> tuple[StateGroup, ...]:
        return tuple(group for group in self.state if group.quantity is quantity)

    def action_groups(self, quantity: ActionQuantity) -> tuple[ActionGroup, ...]:
        return tuple(group for group in self.action if group.quantity is quantity)

    def state_slice(self, group: StateGroup) -> slice:
        """Where a group's values stand in the proprioception vector."""
        return _slice(self.state, group)

    def action_slice(self, group: ActionGroup) -> slice:
        """Where a group's values stand in the action vector."""
        return _slice(self.action, group)

    @property
    def position(self) -> StateGroup | None:
        """The first end effector's position, where there is one."""
        return next(iter(self.state_groups(StateQuantity.POSITION)), None)

    @property
    def rotation(self) -> StateGroup | None:
        """The first end effector's rotation, where there is one."""
        return next(iter(self.state_groups(StateQuantity.ROTATION)), None)

    @property
    def gripper(self) -> ActionGroup | None:
        """The first gripper, where there is one."""
        return next(iter(self.action_groups(ActionQuantity.GRIPPER)), None)

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)

    def camera(self, name: str) -> Camera:
        """Raises: ValueError: there is none of that name."""
        return _named(self.cameras, name, f"camera of robot {self.name}")

    def camera_of(self, role: CameraRole) -> str:
        """The name of the first camera of a role. Raises: ValueError: there is none."""
        for camera in self.cameras:
            if camera.role is role:
                return camera.name
        raise ValueError(f"robot {self.name} has no camera of role {role.value!r}; its cameras: {self._cameras_told()}")

    def camera_called(self, name_or_role: str) -> str:
        """The name of a camera that is given by it, or by its role: the first of that.

        Raises:
            ValueError: there is neither.
        """
        if name_or_role in self.camera_names:
            return name_or_role
        try:
            return self.camera_of(CameraRole(name_or_role))
        except ValueError:
            why = f"robot {self.name} has no camera of the name or role {name_or_role!r}"
            raise ValueError(f"{why}; its cameras: {self._cameras_told()}") from None

    # --- variants ---

    def with_cameras(self, names: Sequence[str], height: int | None = None, width: int | None = None) -> RobotContract:
        """With these cameras alone, in this order, and of this size where one is given.

        Raises:
            ValueError: there is no camera of one of these names.
        """
        chosen = [self.camera(name) for name in names]
        sized = [replace(item, height=height or item.height, width=width or item.width) for item in chosen]
        return replace(self, cameras=tuple(sized))

    def _cameras_told(self) -> str:
        return ", ".join(f"{camera.name} ({camera.role.value})" for camera in self.cameras) or "none"


def _check_corners(what: str, lowest: Sequence[float], highest: Sequence[float]) -> None:
    if not all(low < high for low, high in zip(lowest, highest, strict=True)):
        raise ValueError(f"{what} low {lowest} is not below high {highest} on every axis")


def _check_measured(action: ActionGroup, state: StateGroup) -> None:
    """Raises: ValueError: what is measured is not what is commanded, so that holding it would move the robot."""
    names = getattr(state.source, "names", ())
    compared = [("width", action.width, state.width)]
    if not action.is_gripper:
        compared.append(("unit", action.unit, state.unit))
    if action.quantity is ActionQuantity.JOINT_POSITION:
        compared.append(("quantity", action.quantity.value, state.quantity.value))
    if action.quantity is ActionQuantity.JOINT_POSITION and not action.joints:
        raise ValueError(
            f"action group {action.name!r} holds what {state.name!r} measures, and does not say which joints it "
            f"commands: expected joints, as those measured, {list(names)}"
        )
    if action.joints:
        compared.append(("joints", action.joints, names))
    for what, commanded, measured in compared:
        if commanded != measured:
            raise ValueError(
                f"action group {action.name!r} holds what {state.name!r} measures, and their {what} are {commanded} "
                f"and {measured}: must be the same"
            )


def _named(items: Sequence, name: str, what: str):
    for item in items:
        if item.name == name:
            return item
    raise ValueError(
        f"no {what} is called {name!r}: expected one of {', '.join(item.name for item in items) or 'none'}"
    )


def _slice(groups: Sequence, wanted) -> slice:
    begin = 0
    for group in groups:
        if group is wanted or group.name == wanted.name:
            return slice(begin, begin + group.width)
        begin += group.width
    raise ValueError(f"{wanted.name!r} is none of the groups {', '.join(group.name for group in groups)}")

"""What a bridge drives: a simulated world or a robot, behind one interface without ROS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from substep_core.contract import Pose, Readings, RobotContract
from substep_core.episode import EpisodeStart, EpisodeState
from substep_core.protocol import HoldKind, Reason
from substep_core.registry import Registry
from substep_core.scene import SceneState

if TYPE_CHECKING:
    from substep_core.ros.parameters import NodeParameters


@dataclass(frozen=True)
class Sensed:
    """What the world's sensors say at one instant.

    Attributes:
        stamp: ns of world time; of a world that is not simulated, of ROS time.
        images: camera name -> (H, W, 3) uint8 RGB, upright.
        scene: ground truth; None where there is none, as on a real robot.
    """

    stamp: int
    readings: Readings
    images: Mapping[str, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    scene: SceneState | None = None


@dataclass(frozen=True)
class Frame:
    """A coordinate frame in the one that it is attached to.

    Attributes:
        pose: in ``parent``.
        fixed: it stays there until the next reset.
    """

    name: str
    parent: str
    pose: Pose
    fixed: bool = False


class World(Protocol):
    """One robot in its surroundings. ``reset`` comes before anything but ``contract``, ``episode`` and descriptions.

    Attributes:
        simulated: its time is its own, so the bridge tells it to the others on ``clock``.
        contract: of the robot, with its cameras as they are.
        workspace_origin: (3,) m in the contract's base frame: what the workspace's corners are measured from.
    """

    simulated: bool
    contract: RobotContract

    @property
    def workspace_origin(self) -> np.ndarray: ...

    @property
    def episode(self) -> EpisodeState: ...

    @property
    def hindrance(self) -> Reason[HoldKind]:
        """Why the robot takes no commands now, so that it holds; ``HoldKind.NONE`` always, where it is simulated."""

    def reset(self, start: EpisodeStart) -> None:
        """Begin an episode. Raises: ValueError: it cannot be; the world is as it was."""

    def step(self, action: np.ndarray, under_task: bool = True, counts: bool = True) -> None:
        """One control step: command (A,), and let a control period pass.

        Args:
            under_task: False while nobody has asked for anything: whether the episode's goal holds does not matter.
            counts: it is one of the episode's steps; False where the robot stands for want of something to do.
        """

    def sense(self) -> Sensed:
        """The newest of every sensor."""

    def intrinsics(self, camera: str) -> np.ndarray:
        """(3, 3) pinhole matrix in pixels."""

    @property
    def description(self) -> str:
        """URDF of the robot; empty: there is none, or somebody else publishes it."""

    def frames(self) -> Sequence[Frame]:
        """Coordinate frames of the robot and its cameras as they are now; none where somebody else publishes them."""

    def close(self) -> None: ...


@runtime_checkable
class Foresighted(Protocol):
    """A world that makes use of what is queued, as an arm whose controller takes whole trajectories."""

    def foresee(self, actions: np.ndarray) -> None:
        """Before each step: what it is told after it unless something newer comes, (N, A), N ≥ 0."""


@runtime_checkable
class Armable(Protocol):
    """A world whose robot an operator arms at any moment, also between a look at ``hindrance`` and the next step."""

    def take_over(self) -> bool:
        """Whether it has been armed since the last call, which is the bridge's tick's alone.

        What was decided before is of a robot that may have been moved by hand since. So nothing of it leaves: an action
        that is stepped before this was asked after an arming is not sent, the robot holds in its place.
        """


class WorldFactory(Protocol):
    """Makes the world that a bridge drives.

    Attributes:
        robot: the contract whose limits are the defaults of the bridge's parameters.
    """

    robot: RobotContract

    def declare(self, parameters: NodeParameters) -> None:
        """Declare the world's own parameters."""

    def build(self, parameters: NodeParameters) -> tuple[World, EpisodeStart]:
        """The world, and how its first episode begins.

        Raises:
            BadParameter: names the parameter, its value and what would be right.
            ValueError: the world cannot be built of these parameters.
        """


# An entry is a WorldFactory's type, made without arguments.
WORLDS: Registry[Callable[[], WorldFactory]] = Registry("world", "substep.worlds")
# Optional, by the name of a world: takes cameras and assets as they were asked for, before anything starts, and raises
# ValueError where there are none such. It must not load the simulator.
WORLD_NAMES: Registry[Callable[[Sequence[str], str], None]] = Registry("names of the world", "substep.world_names")

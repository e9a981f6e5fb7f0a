"""The parameter file of an arm: which contract it keeps, which topics it speaks, and how late they may be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from arm_bridge.adapters import ArmAdapterConfig, GripperAdapterConfig
from arm_bridge.images import Fit
from arm_bridge.intake import InputLimits
from substep_core.configuration import configuration, parse
from substep_core.contract import ActionQuantity, JointSource, PoseSource, RobotContract, load_robot
from substep_core.registry import Registry
from substep_core.ros_names import OptionalFrameName, OptionalTopicName, TopicName
from substep_core.yaml_mapping import read_mapping

ARMS: Registry[Path] = Registry("arm", "substep.arms")  # an entry: the path of a parameter file
Seconds = Annotated[float, Field(gt=0, le=60)]
Quaternion = tuple[float, float, float, float]


@configuration
class CameraInput:
    """One camera of the contract.

    Attributes:
        topic: of its images, sensor_msgs/Image, or CompressedImage where ``compressed``.
        info: topic of its CameraInfo; empty: it is not calibrated.
        fit: how an image of another shape comes to that of the contract: crop, stretch or pad.
        turn: quarter turns anticlockwise that make it upright.
        max_age: s between a stamp and now; max_skew: between a stamp and the observation's.
        frozen_motion: m (rad of a robot without a pose) that the arm may move while every image is the same; 0: any.
    """

    topic: TopicName
    compressed: bool = False
    info: OptionalTopicName = ""
    fit: Fit = "crop"
    turn: Annotated[int, Field(ge=0, le=3)] = 0
    max_age: Seconds = 0.3
    max_skew: Seconds = 0.1
    frozen_motion: Annotated[float, Field(ge=0)] = 0.02

    @property
    def limits(self) -> InputLimits:
        return InputLimits(self.max_age, self.max_skew, self.frozen_motion)


@configuration
class JointInput:
    """A JointState topic of the driver; joints are found by name. ``frozen_motion``: as commanded."""

    topic: TopicName
    max_age: Seconds = 0.2
    max_skew: Seconds = 0.05
    frozen_motion: Annotated[float, Field(ge=0)] = 0.05

    @property
    def limits(self) -> InputLimits:
        return InputLimits(self.max_age, self.max_skew, self.frozen_motion)


@configuration
class PoseInput:
    """The pose of the end effector: from a PoseStamped topic, or from tf2 where ROS provides that.

    Attributes:
        topic: empty: from tf2.
        frame: that the topic's poses, or tf2's, are in; empty: the contract's base frame.
        child: of tf2: the end effector's frame.
        sign_like: quaternion xyzw that says which of q and −q is meant when the first one comes; later ones go on
            without a jump.
    """

    topic: OptionalTopicName = ""
    frame: OptionalFrameName = ""
    child: str = ""
    sign_like: Quaternion = (1.0, 0.0, 0.0, 0.0)
    max_age: Seconds = 0.2
    max_skew: Seconds = 0.05
    frozen_motion: Annotated[float, Field(ge=0)] = 0.05

    def __post_init__(self) -> None:
        if bool(self.topic) == bool(self.child):
            raise ValueError("a pose needs a topic, or the child frame that tf2 is asked about, and not both")

    @property
    def limits(self) -> InputLimits:
        return InputLimits(self.max_age, self.max_skew, self.frozen_motion)


@configuration
class DescriptionInput:
    """The robot's URDF, std_msgs/String on a latched topic, for the contract's ``singularity``.

    Attributes:
        base, tip: links between which the joints are that move the end effector.
    """

    topic: TopicName
    base: str
    tip: str


@configuration
class StatusInput:
    """What a driver says about itself by a number.

    Attributes:
        type: of the message, such as std_msgs/msg/Int8.
        field: of the message.
        ready: numbers with which commands are taken, where only these are fine, and silence is not; empty: all that are
            not named here.
        hold: number -> what it means; the robot holds while it is said.
        fault: number -> what it means; it latches.
        latched: what it said last is asked for too, of a driver that keeps it; another one is heard as it is.
        of_commands: it is about the last command: what it said before a reset does not count though it is repeated.
        max_silence: s without a message after which the robot holds; 0: any.
    """

    topic: TopicName
    type: str = "std_msgs/msg/Int8"
    field: str = "data"
    ready: tuple[int, ...] = ()
    hold: dict[int, str] = Field(default_factory=dict)
    fault: dict[int, str] = Field(default_factory=dict)
    latched: bool = True
    of_commands: bool = False
    max_silence: Annotated[float, Field(ge=0, le=60)] = 0.0


@configuration
class EpisodeHooks:
    """Of a cell that a program can put back into a starting state, such as a simulated one.

    Attributes:
        service: std_srvs/Trigger that puts it back.
        node: whose parameters are set before that.
        parameters: which of suite, task_index, init_state, seed, placement they are.
        judge: topic of std_msgs/Bool that says whether the task's goal holds; empty: nobody knows.
        timeout: s for the service to answer.
    """

    service: str = ""
    node: str = ""
    parameters: tuple[str, ...] = ()
    judge: str = ""
    timeout: Annotated[float, Field(gt=0)] = 60.0


@configuration
class ArmSettings:
    """One arm.

    Attributes:
        contract: name or path of its contract.
        cameras: name in the contract -> where it comes from.
        joints, poses: topic in the contract -> where it comes from.
        arm: adapter of its commands.
        grippers: one a gripper group of the contract, in its order.
        status: what its drivers say about themselves.
        description: of its kinematics; needed where the contract limits a singularity, and only there.
        on_arm, on_reset: std_srvs/Trigger services that are called when it is armed, or when a fault is reset.
        workspace_origin: m in the base frame: what the workspace's corners are measured from.
        settle: s for which nothing must be amiss before it goes on after a hold.
        start_timeout: s for every sensor to speak when the bridge is activated.
    """

    contract: str
    arm: ArmAdapterConfig
    cameras: dict[str, CameraInput] = Field(default_factory=dict)
    joints: dict[str, JointInput] = Field(default_factory=dict)
    poses: dict[str, PoseInput] = Field(default_factory=dict)
    grippers: tuple[GripperAdapterConfig, ...] = ()
    status: tuple[StatusInput, ...] = ()
    description: DescriptionInput | None = None
    on_arm: tuple[str, ...] = ()
    on_reset: tuple[str, ...] = ()
    episode: EpisodeHooks = EpisodeHooks()
    workspace_origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    settle: Annotated[float, Field(ge=0, le=60)] = 0.3
    start_timeout: Seconds = 20.0

    def check(self, contract: RobotContract) -> None:
        """Raises: ValueError: file and contract do not fit each other; the message says in what."""
        sources = [group.source for group in contract.state]
        wanted = {
            "cameras": set(contract.camera_names),
            "joints": {source.topic for source in sources if isinstance(source, JointSource)},
            "poses": {source.topic for source in sources if isinstance(source, PoseSource)},
        }
        for what, names in wanted.items():
            given = set(getattr(self, what))
            if given != names:
                raise ValueError(f"{what} has {_listed(given)}, and contract {contract.name} has {_listed(names)}")
        if (self.description is None) is not (contract.singularity is None):
            has = "no limits of a singularity" if contract.singularity is None else "limits of a singularity"
            said = "none" if self.description is None else self.description.topic
            raise ValueError(f"description is {said}, and contract {contract.name} has {has}: each needs the other")
        grippers = contract.action_groups(ActionQuantity.GRIPPER)
        if len(grippers) != len(self.grippers):
            raise ValueError(f"{len(self.grippers)} grippers for the {len(grippers)} of contract {contract.name}")


def camera_input(camera: str) -> str:
    """What the intake calls a camera, whose name may be a topic's too."""
    return f"camera {camera}"


def load_arm(arm: str | Path) -> tuple[ArmSettings, RobotContract]:
    """An arm's parameter file and its contract.

    Args:
        arm: name of an entry point in ``substep.arms``, or the path of a YAML file.

    Raises:
        ValueError: there is no such arm, the file is wrong, or it does not fit the contract; the message names it.
    """
    file = Path(arm).expanduser()
    if file.suffix not in (".yaml", ".yml"):
        file = ARMS.load(str(arm))
    try:
        settings = parse(ArmSettings, read_mapping(file, "the mapping of an arm's parameter file"), str(file))
        contract = load_robot(settings.contract)
        settings.check(contract)
    except ValueError as error:
        raise ValueError(f"arm {str(arm)!r}: {error}") from error
    return settings, contract


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"

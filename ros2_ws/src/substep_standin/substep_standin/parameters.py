"""Parameters of the driver: its robot, its scene, its cameras, and the faults that it has on command."""

from __future__ import annotations

from dataclasses import dataclass, replace

from libero_bridge import parameters as libero_parameters
from libero_bridge.simulation import SimulationConfig
from substep_core.configuration import told
from substep_core.episode import EpisodeStart
from substep_core.ros.parameters import BadParameter, NodeParameters
from substep_standin.cameras import CameraSettings
from substep_standin.driver import Controller
from substep_standin.outbox import TransportFaults
from substep_standin.settings import DriverSettings, RobotLimits, ServoSettings, TrajectorySettings

ENCODINGS = ("rgb8", "bgr8", "rgba8", "bgra8")
FAULTS = "faults."
EVERY_CAMERA = "*"


@dataclass(frozen=True)
class NodeSettings:
    """What the driver's node is started with.

    Attributes:
        joint_state_rate: Hz of joint states, of poses, and of looking at commands.
        encoding: of images.
        random_seed: of jitter, drops and faults.
    """

    driver: DriverSettings
    controller: Controller
    camera: CameraSettings
    encoding: str
    joint_state_rate: float
    random_seed: int


@dataclass(frozen=True)
class Faults:
    """What is wrong on command, see ``declare``."""

    die: bool
    freeze_driver: bool
    stop_joint_states: bool
    freeze_camera: str
    stop_camera: str
    reject_gripper: bool
    refuse_trajectories: bool
    transport: TransportFaults


def declare(parameters: NodeParameters) -> None:
    libero_parameters.declare(parameters)
    servo, trajectory, camera = ServoSettings(), TrajectorySettings(), CameraSettings()
    names = [item.value for item in Controller]
    declare = parameters.declare
    declare("controller", Controller.SERVO.value, "who may move the arm at first", choices=names)
    declare("joint_state_rate", 100.0, "Hz of joint states, and of looking at commands", bounds=(20.0, 500.0))
    declare("random_seed", 0, "of jitter, drops and faults", bounds=(0, 2**31 - 1))
    declare("servo.staleness", servo.staleness, "s after its stamp in which a twist moves the arm", bounds=(0.01, 10.0))
    declare("servo.max_linear", servo.max_linear, "m/s to which a twist is scaled down", bounds=(0.01, 3.0))
    declare("servo.max_angular", servo.max_angular, "rad/s to which a twist is scaled down", bounds=(0.01, 10.0))
    force = RobotLimits().contact_force
    declare("limits.contact_force", force, "N on the hand that are a collision", bounds=(1.0, 1000.0))
    declare(
        "jtc.allow_nonzero_velocity_at_trajectory_end",
        trajectory.allow_nonzero_velocity_at_trajectory_end,
        "accept trajectories whose last point moves",
    )
    declare("camera.rate", camera.rate, "Hz", bounds=(1.0, 60.0))
    declare("camera.latency", camera.latency, "s from the exposure to the message", bounds=(0.0, 1.0))
    declare("camera.jitter", camera.jitter, "s by which that varies, either way", bounds=(0.0, 1.0))
    declare("camera.drop", camera.drop, "share of frames that get lost", bounds=(0.0, 0.9))
    declare("camera.encoding", ENCODINGS[0], "of images", choices=ENCODINGS)
    _declare_faults(parameters)


def _declare_faults(parameters: NodeParameters) -> None:
    for name, default, what, bounds in (
        ("die", False, "the process ends at once", None),
        ("freeze_driver", False, "nothing is heard or said any more", None),
        ("stop_joint_states", False, "joint states and poses are not said any more", None),
        ("freeze_camera", "", "camera that gives the same picture with new stamps; *: all", None),
        ("stop_camera", "", "camera that gives nothing any more; *: all", None),
        ("reject_gripper", False, "goals of the hand are rejected", None),
        ("refuse_trajectories", False, "trajectories are refused", None),
        ("stamp_offset", 0.0, "s added to the stamps of sensors", (-1e6, 1e6)),
        ("delay", 0.0, "s by which what sensors say comes later", (0.0, 10.0)),
        ("duplicate", 0.0, "share of what sensors say that comes twice", (0.0, 1.0)),
        ("reorder", 0.0, "share of what sensors say that comes behind what follows it", (0.0, 1.0)),
    ):
        parameters.declare(FAULTS + name, default, what, bounds=bounds)


def read(parameters: NodeParameters) -> NodeSettings:
    """Raises BadParameter: one of them is wrong; the message names it, its value and what would be right."""
    value = parameters.value
    try:
        camera = CameraSettings(*(value(f"camera.{name}") for name in ("rate", "latency", "jitter", "drop")))
    except BadParameter:
        raise
    except ValueError as error:
        raise BadParameter(f"parameters camera.*: {told(error)}") from error
    servo = replace(
        ServoSettings(), **{name: value(f"servo.{name}") for name in ("staleness", "max_linear", "max_angular")}
    )
    allowed = value("jtc.allow_nonzero_velocity_at_trajectory_end")
    trajectory = TrajectorySettings(allow_nonzero_velocity_at_trajectory_end=allowed)
    return NodeSettings(
        DriverSettings(servo, trajectory, RobotLimits(contact_force=value("limits.contact_force"))),
        Controller(value("controller")),
        camera,
        value("camera.encoding"),
        value("joint_state_rate"),
        value("random_seed"),
    )


def scene(parameters: NodeParameters) -> tuple[SimulationConfig, EpisodeStart]:
    """What stands before the robot. Raises BadParameter."""
    return libero_parameters.read(parameters)


def faults(parameters: NodeParameters) -> Faults:
    """Those of now."""

    def value(name: str):
        return parameters.value(FAULTS + name)

    transport = TransportFaults(*(float(value(name)) for name in ("stamp_offset", "delay", "duplicate", "reorder")))
    names = ("die", "freeze_driver", "stop_joint_states", "freeze_camera", "stop_camera")
    rest = ("reject_gripper", "refuse_trajectories")
    return Faults(*(value(name) for name in (*names, *rest)), transport)

"""What the stand-in's driver allows, and how fast it answers: of this robot alone, in SI units."""

from __future__ import annotations

from dataclasses import dataclass, field

DRIVER = "substep_standin/driver_node/standin_driver"  # package, executable and node, as ``./substep real`` takes it
ARM_JOINTS = tuple(f"panda_joint{number}" for number in range(1, 8))
FINGER_JOINTS = ("panda_finger_joint1", "panda_finger_joint2")
DRIVER_JOINTS = FINGER_JOINTS + ARM_JOINTS  # in the order of joint_states: the driver's own, by the alphabet
OPEN_FINGER = 0.04  # m, of one finger


@dataclass(frozen=True)
class ServoSettings:
    """Of the Cartesian rate controller, as MoveIt Servo's are.

    Attributes:
        staleness: s by its stamp after which a command no longer moves the arm.
        max_linear, max_angular: m/s and rad/s; a longer vector is scaled down, its direction kept.
        refused_factor: times the limit from which a command is taken for an error and refused.
        time_constant: s in which the arm covers 63 % of a change of velocity.
        max_linear_acceleration, max_angular_acceleration: m/s² and rad/s².
    """

    staleness: float = 0.1
    max_linear: float = 0.5
    max_angular: float = 3.0
    refused_factor: float = 4.0
    time_constant: float = 0.035
    max_linear_acceleration: float = 13.0
    max_angular_acceleration: float = 60.0

    def __post_init__(self) -> None:
        _positive(self)


@dataclass(frozen=True)
class TrajectorySettings:
    """Of the joint trajectory controller.

    Attributes:
        allow_nonzero_velocity_at_trajectory_end: a last point that still moves is accepted.
        path_tolerance, goal_tolerance: rad that a joint may be away on the way, and at the end.
        goal_time: s after the end by which the arm must have come to rest there.
    """

    allow_nonzero_velocity_at_trajectory_end: bool = False
    path_tolerance: float = 0.2
    goal_tolerance: float = 0.02
    goal_time: float = 1.0


@dataclass(frozen=True)
class RobotLimits:
    """What ends in a protective stop.

    Attributes:
        joint_velocity: (7,) rad/s that a trajectory may ask for.
        velocity_margin: times that, above which a measured velocity is a fault.
        joint_low, joint_high: (7,) rad, the mechanical stops.
        stop_margin: rad before a stop (negative: behind it, the simulated ones give way) from which servoing into it
            is halted.
        contact_force: N on the robot, averaged over ``contact_time`` s, above which it is a collision. A real
            arm's is a third of it, but the policies come from a world in which pushing costs nothing.
    """

    joint_velocity: tuple[float, ...] = (2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61)
    velocity_margin: float = 1.5
    joint_low: tuple[float, ...] = (-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973)
    joint_high: tuple[float, ...] = (2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973)
    stop_margin: float = -0.05
    contact_force: float = 300.0
    contact_time: float = 0.1


@dataclass(frozen=True)
class DriverSettings:
    """Everything that the driver's behaviour depends on.

    Attributes:
        max_backlog: s that the driver may be behind the wall clock; what is more is lost, as an overrun.
    """

    servo: ServoSettings = field(default_factory=ServoSettings)
    trajectory: TrajectorySettings = field(default_factory=TrajectorySettings)
    limits: RobotLimits = field(default_factory=RobotLimits)
    max_backlog: float = 0.1


def _positive(settings: ServoSettings) -> None:
    for name, value in vars(settings).items():
        if not value > 0:
            raise ValueError(f"servo setting {name} is {value}, expected more than 0")

"""Parameters of every bridge: clock, repetition, and limits tighter or wider than the robot contract's."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from substep_bridge.guard import GuardSettings
from substep_bridge.joining import JOINING_RULES, Joining, JoiningSettings, load_joining
from substep_core.configuration import options_of
from substep_core.contract import ActionGroup, RobotContract, Workspace
from substep_core.episode import EpisodeStart, Placement
from substep_core.ros.parameters import BadParameter, NodeParameters
from substep_core.tasks import TASKS_FROM_HELP

PREFIX = "safety."
DEFAULT_JOINING = "in_turn"  # a policy that has not been tried with another rule may hover under it
# The launch files set these for every world; one that has no use for some of them does not declare them.
OF_SOME_WORLDS = (
    *("tasks_from", "suite", "task_index", "placement", "init_state", "seed", "horizon", "assets"),
    *("cameras", "image_height", "image_width"),
)

MOST_TASKS = 1_000_000  # bound of indices; how many there are, the task source knows


class ClockMode(enum.StrEnum):
    """How time passes."""

    LOCKSTEP = "lockstep"  # the world waits for each chunk
    REALTIME = "realtime"  # it goes on at the contract's rate, and a late chunk is late


@dataclass(frozen=True)
class BridgeSettings:
    """What every bridge is configured with.

    Attributes:
        repeat_period, planner_silence: s of wall time; idle_rate: Hz of it.
    """

    clock: ClockMode
    joining: Joining
    guard: GuardSettings
    repeat_period: float
    idle_rate: float
    planner_silence: float


def declare_task(parameters: NodeParameters, tasks_from: str, suite: str, suite_is: str, horizon: int = 0) -> None:
    """Those of a world in which tasks are carried out: which task, how its episodes start, and when they end.

    Args:
        tasks_from, suite, horizon: defaults.
        suite_is: describes the parameter.
    """
    parameters.declare("tasks_from", tasks_from, TASKS_FROM_HELP)
    parameters.declare("suite", suite, suite_is)
    parameters.declare("task_index", 0, "task within the suite", bounds=(0, MOST_TASKS))
    parameters.declare("init_state", 0, "initial state of the task to start in", bounds=(0, MOST_TASKS))
    parameters.declare("seed", 0, "of everything drawn at random", bounds=(0, 2**31 - 1))
    parameters.declare(
        "placement", Placement.BENCHMARK.value, "where objects start", choices=[item.value for item in Placement]
    )
    parameters.declare(
        "horizon", horizon, "control steps under a task in an episode; 0: any number", bounds=(0, 100_000)
    )


def read_start(parameters: NodeParameters) -> EpisodeStart:
    """Where the first episode of such a world starts."""
    value = parameters.value
    return EpisodeStart(placement=Placement(value("placement")), init_state=value("init_state"), seed=value("seed"))


def declare(parameters: NodeParameters, robot: RobotContract) -> None:
    """Limits have the robot's own as their defaults."""
    guard = GuardSettings()
    parameters.declare("clock", ClockMode.LOCKSTEP.value, "how time passes", choices=[item.value for item in ClockMode])
    what = "what is played where a chunk meets the last one (realtime)"
    parameters.declare("joining", DEFAULT_JOINING, what, choices=JOINING_RULES.names)
    for option in options_of(JoiningSettings):
        parameters.declare(option.name, option.default, option.description, bounds=option.bounds)
    parameters.declare(
        "repeat_period", 1.0, "s of wall time after which an unanswered request is repeated", bounds=(0.05, 60.0)
    )
    parameters.declare(
        "idle_rate",
        2.0,
        "Hz of wall time at which sensors repeat what they said last while the world stands still; 0: not at all",
        bounds=(0.0, 1000.0),
    )
    parameters.declare(
        "planner_silence",
        5.0,
        "s of wall time without a sign of the planner after which the robot holds; the planner gives one a second",
        bounds=(0.5, 86_400.0),
    )
    parameters.declare(
        PREFIX + "max_age",
        guard.max_age,
        "s of world time that an observation may be old when its chunk comes (realtime)",
        bounds=(0.0, 60.0),
    )
    parameters.declare(
        PREFIX + "max_failures",
        guard.max_failures,
        "rejected chunks in a row after which the robot holds until reset_episode",
        bounds=(1, 1000),
    )
    parameters.declare(PREFIX + "max_horizon", robot.max_horizon, "actions that a chunk may have", bounds=(1, 1000))
    _declare_limits(parameters, robot)


def _declare_limits(parameters: NodeParameters, robot: RobotContract) -> None:
    for group in robot.action:
        if group.max_step is not None:
            what = f"{group.unit} that {group.name} may be told in one control step"
            parameters.declare(f"{PREFIX}max_step.{group.name}", group.max_step, what, bounds=(1e-4, 6.3))
            what = f"part of a commanded {group.name} that the robot covers in the step"
            parameters.declare(f"{PREFIX}response.{group.name}", group.response, what, bounds=(0.01, 1.0))
        if group.max_change is not None:
            what = f"{group.unit} that a commanded {group.name} may change by"
            if group.is_gripper:
                what = f"times that {group.name} may turn between opening and closing"
            what += f" within {robot.change_time:g} s"
            parameters.declare(f"{PREFIX}max_change.{group.name}", group.max_change, what, bounds=(1e-4, 1e4))
    if robot.workspace is not None:
        for side in ("low", "high"):
            what = f"{side} x, y, z (m) of the end effector, from {robot.workspace.origin}"
            parameters.declare(f"{PREFIX}workspace_{side}", list(getattr(robot.workspace, side)), what)
        if robot.workspace.max_tilt is not None:
            what = "rad that the end effector may be tilted by"
            parameters.declare(PREFIX + "max_tilt", robot.workspace.max_tilt, what, bounds=(0.01, 3.1416))


def read(parameters: NodeParameters) -> BridgeSettings:
    """Raises BadParameter: one of them is wrong; the message names it, its value and what would be right."""
    clock = ClockMode(parameters.value("clock"))
    # the world does not move while it waits in lockstep, so a chunk answers the very last observation or is wrong
    max_age = 0.0 if clock is ClockMode.LOCKSTEP else parameters.value(PREFIX + "max_age")
    return BridgeSettings(
        clock=clock,
        joining=_joining(parameters, clock),
        guard=GuardSettings(max_age=max_age, max_failures=parameters.value(PREFIX + "max_failures")),
        repeat_period=parameters.value("repeat_period"),
        idle_rate=parameters.value("idle_rate"),
        planner_silence=parameters.value("planner_silence"),
    )


def _joining(parameters: NodeParameters, clock: ClockMode) -> Joining:
    """Raises BadParameter."""
    settings = JoiningSettings(**{option.name: parameters.value(option.name) for option in options_of(JoiningSettings)})
    if clock is ClockMode.LOCKSTEP:  # the world waits, however long it takes
        settings = replace(settings, inference_time=0.0)
    return load_joining(parameters.value("joining"), settings)


def limited(robot: RobotContract, parameters: NodeParameters) -> RobotContract:
    """The contract with the limits that the parameters set. Raises BadParameter."""
    return replace(
        robot,
        action=tuple(_limited_group(group, parameters) for group in robot.action),
        max_horizon=parameters.value(PREFIX + "max_horizon"),
        workspace=robot.workspace and _workspace(robot.workspace, parameters),
    )


def _limited_group(group: ActionGroup, parameters: NodeParameters) -> ActionGroup:
    names = ("max_step", "response") if group.max_step is not None else ()
    names += ("max_change",) if group.max_change is not None else ()
    return replace(group, **{name: parameters.value(f"{PREFIX}{name}.{group.name}") for name in names})


def _workspace(workspace: Workspace, parameters: NodeParameters) -> Workspace:
    corners = {side: tuple(parameters.value(f"{PREFIX}workspace_{side}")) for side in ("low", "high")}
    for side, corner in corners.items():
        if len(corner) != 3:
            raise BadParameter(f"parameter {PREFIX}workspace_{side} is {list(corner)}, expected three numbers: x, y, z")
    tilt = {} if workspace.max_tilt is None else {"max_tilt": parameters.value(PREFIX + "max_tilt")}
    try:
        return replace(workspace, **corners, **tilt)
    except ValueError as error:
        low, high = corners["low"], corners["high"]
        raise BadParameter(
            f"parameter {PREFIX}workspace_low {low} is not below workspace_high {high} on every axis"
        ) from error

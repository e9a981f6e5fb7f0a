"""Parameters of the bridge node: names, ranges, and the settings that they make."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from libero_bridge.libero_setup import EMBEDDED_ASSETS, LIBERO_ASSETS
from libero_bridge.placement import Placement
from libero_bridge.rendering import MAX_IMAGE_SIDE, MIN_IMAGE_SIDE
from libero_bridge.safety import SafetyLimits
from libero_bridge.simulation import SimulationConfig
from libero_bridge.tasks import SUITES
from substep_policy.node_parameters import BadParameter, NodeParameters

_SAFETY_PREFIX = "safety."
_NUMBER_LIMITS = {
    "max_horizon": ("actions that a chunk may have", (1, 1000)),
    "max_age": ("s of world time that an observation may be old when its chunk comes (realtime)", (0.0, 60.0)),
    "max_translation": ("m that the end effector may be told to move in one control step", (1e-4, 1.0)),
    "max_rotation": ("rad that the end effector may be told to turn in one control step", (1e-4, 6.3)),
    "response": ("part of a commanded motion that the arm covers in the step", (0.01, 1.0)),
    "max_failures": ("rejected chunks in a row after which the arm holds until reset_episode", (1, 1000)),
}
_CORNER_LIMITS = {
    "workspace_low": "smallest x, y, z (m) of the end effector, from the middle of the table's top",
    "workspace_high": "largest x, y, z (m) of the end effector, from the middle of the table's top",
}


class ClockMode(Enum):
    """LOCKSTEP: the world waits for each chunk. REALTIME: it goes on at 20 Hz, and a late chunk is late."""

    LOCKSTEP = "lockstep"
    REALTIME = "realtime"


@dataclass(frozen=True)
class BridgeSettings:
    """Everything that the bridge node is configured with; ``repeat_period`` in s of wall time."""

    simulation: SimulationConfig
    init_state: int
    seed: int
    placement: Placement
    clock: ClockMode
    limits: SafetyLimits
    repeat_period: float


def declare(parameters: NodeParameters) -> None:
    defaults = SimulationConfig(SUITES[0], 0)
    parameters.declare("suite", defaults.suite, "LIBERO suite", choices=SUITES)
    parameters.declare("task_index", 0, "task within the suite", bounds=(0, 89))
    parameters.declare(
        "assets", defaults.assets, f"meshes and textures: {EMBEDDED_ASSETS}, {LIBERO_ASSETS}, or the path of a folder"
    )
    parameters.declare("init_state", 0, "initial state of the benchmark to start in", bounds=(0, 49))
    parameters.declare("seed", 0, "of everything drawn at random", bounds=(0, 2**31 - 1))
    parameters.declare(
        "placement", Placement.BENCHMARK.value, "where objects start", choices=[item.value for item in Placement]
    )
    parameters.declare("horizon", defaults.horizon, "control steps in an episode", bounds=(1, 100_000))
    parameters.declare("settle_steps", defaults.settle_steps, "idle control steps after a reset", bounds=(0, 1000))
    parameters.declare("cameras", list(defaults.cameras), "cameras to publish; ['']: none")
    sides = (MIN_IMAGE_SIDE, MAX_IMAGE_SIDE)
    parameters.declare("image_height", defaults.image_size[0], "pixels", bounds=sides)
    parameters.declare("image_width", defaults.image_size[1], "pixels", bounds=sides)
    parameters.declare("effects", False, "shadows, reflections and smoothed edges as in LIBERO's own images; slow")
    parameters.declare("clock", ClockMode.LOCKSTEP.value, "how time passes", choices=[item.value for item in ClockMode])
    parameters.declare(
        "repeat_period", 1.0, "s of wall time after which an unanswered request is repeated", bounds=(0.05, 60.0)
    )
    _declare_limits(parameters)


def read(parameters: NodeParameters) -> BridgeSettings:
    """Raises BadParameter: one of them is wrong; the message names it, its value and what would be right."""
    clock = ClockMode(parameters.value("clock"))
    return BridgeSettings(
        simulation=_simulation(parameters),
        init_state=parameters.value("init_state"),
        seed=parameters.value("seed"),
        placement=Placement(parameters.value("placement")),
        clock=clock,
        limits=_limits(parameters, clock),
        repeat_period=parameters.value("repeat_period"),
    )


def _simulation(parameters: NodeParameters) -> SimulationConfig:
    try:
        return SimulationConfig(
            suite=parameters.value("suite"),
            task_index=parameters.value("task_index"),
            assets=parameters.value("assets"),
            image_size=(parameters.value("image_height"), parameters.value("image_width")),
            cameras=tuple(name for name in parameters.value("cameras") if name),
            effects=parameters.value("effects"),
            horizon=parameters.value("horizon"),
            settle_steps=parameters.value("settle_steps"),
        )
    except BadParameter:
        raise
    except ValueError as error:
        raise BadParameter(f"parameter cameras: {error}") from error


def _declare_limits(parameters: NodeParameters) -> None:
    defaults = SafetyLimits()
    for name, (description, bounds) in _NUMBER_LIMITS.items():
        parameters.declare(_SAFETY_PREFIX + name, getattr(defaults, name), description, bounds=bounds)
    for name, description in _CORNER_LIMITS.items():
        parameters.declare(_SAFETY_PREFIX + name, list(getattr(defaults, name)), description)


def _limits(parameters: NodeParameters, clock: ClockMode) -> SafetyLimits:
    values = {name: parameters.value(_SAFETY_PREFIX + name) for name in _NUMBER_LIMITS}
    corners = {name: tuple(parameters.value(_SAFETY_PREFIX + name)) for name in _CORNER_LIMITS}
    for name, corner in corners.items():
        if len(corner) != 3:
            raise BadParameter(f"parameter {_SAFETY_PREFIX}{name} is {list(corner)}, expected three numbers: x, y, z")
    try:
        limits = SafetyLimits(**values, **corners)
    except ValueError as error:
        raise BadParameter(f"parameter {_SAFETY_PREFIX}{error}") from error
    # the world does not move while it waits in lockstep, so a chunk answers the very last observation or is wrong
    return replace(limits, max_age=0.0) if clock is ClockMode.LOCKSTEP else limits

"""Parameters of LIBERO's world: names, ranges, and the settings that they make."""

from __future__ import annotations

from libero_bridge.rendering import MAX_IMAGE_SIDE, MIN_IMAGE_SIDE
from libero_bridge.simulation import SimulationConfig
from libero_bridge.tasks import LIBERO, LiberoSource
from substep_bridge.parameters import declare_task, read_start
from substep_core.configuration import told
from substep_core.episode import EpisodeStart
from substep_core.ros.parameters import BadParameter, NodeParameters
from substep_core.tasks import EMBEDDED_ASSETS, LIBERO_ASSETS


def declare(parameters: NodeParameters) -> None:
    defaults = SimulationConfig(LiberoSource.suites[0], 0)
    camera = defaults.contract.cameras[0]
    declare_task(parameters, LIBERO, defaults.suite, "one of the task source's suites", defaults.horizon)
    parameters.declare(
        "assets", defaults.assets, f"meshes and textures: {EMBEDDED_ASSETS}, {LIBERO_ASSETS}, or the path of a folder"
    )
    parameters.declare("settle_steps", defaults.settle_steps, "idle control steps after a reset", bounds=(0, 1000))
    parameters.declare("cameras", list(defaults.cameras), "cameras to publish; ['']: none")
    sides = (MIN_IMAGE_SIDE, MAX_IMAGE_SIDE)
    parameters.declare("image_height", camera.height, "pixels", bounds=sides)
    parameters.declare("image_width", camera.width, "pixels", bounds=sides)
    parameters.declare("effects", False, "shadows, reflections and smoothed edges as in LIBERO's own images; slow")


def read(parameters: NodeParameters) -> tuple[SimulationConfig, EpisodeStart]:
    """Raises BadParameter: one of them is wrong; the message names it, its value and what would be right."""
    value = parameters.value
    try:
        config = SimulationConfig(
            tasks_from=value("tasks_from"),
            suite=value("suite"),
            task_index=value("task_index"),
            assets=value("assets"),
            image_size=(value("image_height"), value("image_width")),
            cameras=tuple(name for name in value("cameras") if name),
            effects=value("effects"),
            horizon=value("horizon"),
            settle_steps=value("settle_steps"),
        )
    except BadParameter:
        raise
    except ValueError as error:
        raise BadParameter(f"parameter cameras: {told(error)}") from error
    return config, read_start(parameters)

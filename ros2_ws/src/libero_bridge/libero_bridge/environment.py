"""Builds and resets LIBERO's robosuite environments, without their rendering and observables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import numpy as np

from libero_bridge.object_files import known_objects
from libero_bridge.placement import NoRoomError
from libero_bridge.tasks import LiberoTask
from substep_core.contract import RobotContract

ModelFilter = Callable[[str], str]
DRAWS = 20  # of all objects' places: LIBERO's own tasks need one or two
T = TypeVar("T")


def build_environment(task: LiberoTask, robot: RobotContract, model_filter: ModelFilter | None = None):
    """LIBERO's environment of a task, to be reset softly: the model is compiled once.

    Args:
        robot: gives the control rate and what a value of 1 commands.
        model_filter: changes the whole model's MJCF text before it is compiled.

    Raises:
        NoRoomError: LIBERO finds no places for the task's objects.
        ValueError: the BDDL file names something that LIBERO does not have.
    """
    from libero.libero.envs.bddl_base_domain import TASK_MAPPING
    from libero.libero.envs.bddl_utils import get_problem_info

    kind = get_problem_info(str(task.bddl_file))["problem_name"]
    if kind not in TASK_MAPPING:
        raise ValueError(f"{task.bddl_file} has problem {kind!r}: expected one of {', '.join(TASK_MAPPING)}")
    problem = TASK_MAPPING[kind]
    environment = problem if model_filter is None else _with_model_filter(problem, model_filter)
    build = partial(
        environment,
        str(task.bddl_file),
        **({"scene_xml": str(task.scene_file)} if task.scene_file else {}),
        robots=["Panda"],
        controller_configs=_controller(robot),
        initialization_noise=None,
        use_camera_obs=False,
        has_renderer=False,
        has_offscreen_renderer=False,
        control_freq=robot.rate,
        ignore_done=True,
        hard_reset=False,
    )
    try:
        with known_objects(task.object_files):
            with _seeded(0):  # it draws places as it is built, the same ones every time
                return _with_room(build, str(task.bddl_file))
    except KeyError as error:  # a category, an object or a region
        raise ValueError(f"{task.bddl_file} names {error.args[0]!r}, which LIBERO does not know") from error


def _controller(robot: RobotContract) -> dict:
    """robosuite's operational space controller, its commands scaled as the contract says."""
    import robosuite

    config = robosuite.load_controller_config(default_controller="OSC_POSE")
    moved = [scale for group in robot.action if group.is_motion for scale in [group.scale] * group.width]
    return config | {"output_max": moved, "output_min": [-scale for scale in moved]}


def reset_environment(env, seed: int) -> None:
    """Puts everything back, the gripper's command included, and lets LIBERO draw its placements from ``seed``.

    Raises:
        NoRoomError: it finds none.
    """
    gripper = env.robots[0].gripper

    def reset() -> None:
        gripper.current_action = np.zeros(gripper.dof)
        env.reset()

    with _seeded(seed):
        _with_room(reset, env.bddl_file_name)


def _with_room(draw: Callable[[], T], where: str) -> T:
    """What ``draw`` returns: where there was no room for one of the objects, all of them are drawn again."""
    from robosuite.utils.errors import RandomizationError

    for _ in range(DRAWS):
        try:
            return draw()
        except RandomizationError:
            continue
    raise NoRoomError(f"{where}: no room for all objects in their regions, in {DRAWS} draws")


def drawn_state(env, number: int) -> np.ndarray:
    """Initial state ``number`` of a task that brings none: (1 + nq + nv,) as LIBERO's reset draws it from that seed.

    Raises:
        NoRoomError: there is no room for the task's objects.
    """
    reset_environment(env, number)
    return env.sim.get_state().flatten()


def set_state(env, state: np.ndarray) -> None:
    """Takes a LIBERO initial state: (1 + nq + nv,) time, qpos, qvel."""
    env.sim.set_state_from_flattened(state)
    env.sim.forward()
    env._check_success()
    env._post_process()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """LIBERO draws from numpy's global generator: seed it, and leave it afterwards as it was."""
    outside = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(outside)


def _with_model_filter(problem: type, model_filter: ModelFilter) -> type:
    """A subclass under the same name, which LIBERO compares with the one in the BDDL file."""

    def _initialize_sim(self, xml_string: str | None = None) -> None:
        self.set_xml_processor(model_filter)
        problem._initialize_sim(self, xml_string)

    return type(problem.__name__, (problem,), {"_initialize_sim": _initialize_sim})

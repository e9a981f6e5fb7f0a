"""Builds and resets LIBERO's robosuite environments, without their rendering and observables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from libero_bridge.tasks import LiberoTask

ModelFilter = Callable[[str], str]


def build_environment(task: LiberoTask, model_filter: ModelFilter | None = None):
    """LIBERO's environment of a task, to be reset softly: the model is compiled once.

    Args:
        model_filter: changes the whole model's MJCF text before it is compiled.
    """
    import robosuite
    from libero.libero.envs.bddl_base_domain import TASK_MAPPING
    from libero.libero.envs.bddl_utils import get_problem_info

    problem = TASK_MAPPING[get_problem_info(str(task.bddl_file))["problem_name"]]
    environment = problem if model_filter is None else _with_model_filter(problem, model_filter)
    return environment(
        str(task.bddl_file),
        robots=["Panda"],
        controller_configs=robosuite.load_controller_config(default_controller="OSC_POSE"),
        initialization_noise=None,
        use_camera_obs=False,
        has_renderer=False,
        has_offscreen_renderer=False,
        control_freq=20,
        ignore_done=True,
        hard_reset=False,
    )


def reset_environment(env, seed: int) -> None:
    """Puts everything back, the gripper's command included, and lets LIBERO draw its placements from ``seed``."""
    from robosuite.utils.errors import RandomizationError

    gripper = env.robots[0].gripper
    with _seeded(seed):
        while True:
            gripper.current_action = np.zeros(gripper.dof)
            try:
                env.reset()
                return
            except RandomizationError:  # no room for one of the objects: LIBERO draws all of them again
                continue


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

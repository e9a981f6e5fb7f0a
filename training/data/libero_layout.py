"""Datasets of LIBERO's own files beside actions, proprioception and frames: states, rewards, dones, attributes.

A row is of the moment before its action. ``init_state`` is, as LIBERO means it, the state that an episode begins with;
which of the benchmark's initial states was taken stands under ``init_state_index``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np

from libero_bridge.tasks import LIBERO, LiberoTask, libero_task

INIT_STATE_INDEX = "init_state_index"
ARM_DISTANCE = "arm_distance"  # of this project's collection, see ``Simulation.reset``
INIT_STATE = "init_state"
IMAGE_CONVENTION = "opengl"  # robosuite's word for frames that are upside down


class TaskReference(NamedTuple):
    """Which task a collected file's demonstrations are of."""

    tasks_from: str
    suite: str
    index: int

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> TaskReference:
        """From the attributes of ``data``; files from before there were task sources are of LIBERO's."""
        tasks_from = str(attributes.get("tasks_from", LIBERO))
        return cls(tasks_from, str(attributes["suite"]), int(attributes["task_index"]))

    def task(self) -> LiberoTask:
        """Raises: ValueError: as ``libero_task``."""
        return libero_task(*self)


def write_task_attributes(data: h5py.Group, task: LiberoTask) -> None:
    """Attributes of ``data`` that say which task it is."""
    problem = {"problem_name": task.problem_name, "domain_name": "robosuite", "language_instruction": task.instruction}
    data.attrs["problem_info"] = json.dumps(problem)
    data.attrs["bddl_file_name"] = f"libero/libero/bddl_files/{task.suite}/{task.bddl_file.name}"


def write_ends(group: h5py.Group, length: int) -> None:
    """``rewards`` and ``dones`` (T,) uint8 of a successful episode: 1 at the last timestep alone."""
    end = np.zeros(length, np.uint8)
    end[-1] = 1
    for name in ("rewards", "dones"):
        if name not in group:
            group.create_dataset(name, data=end)


def write_states(group: h5py.Group, states: np.ndarray, joint_states: np.ndarray, robot_states: np.ndarray) -> None:
    """The simulated world's states of a demonstration that has its hand's poses already.

    Args:
        states: (T, 1 + nq + nv) time, qpos and qvel.
        joint_states: (T, J) rad, of the arm's J joints.
        robot_states: (T, F + 7) finger joints (m), position (m) and xyzw quaternion of the hand.
    """
    obs = group["obs"]
    group["states"], group["robot_states"], obs["joint_states"] = states, robot_states, joint_states
    obs["ee_states"] = np.concatenate([obs["ee_pos"][:], obs["ee_ori"][:]], axis=1)
    index = init_state_index(group.attrs)
    group.attrs[INIT_STATE_INDEX], group.attrs[INIT_STATE] = index, states[0]


def init_state_index(attributes: Mapping[str, Any]) -> int:
    """Which of the benchmark's initial states a demonstration starts from; older files had it as ``init_state``."""
    return int(attributes[INIT_STATE_INDEX] if INIT_STATE_INDEX in attributes else attributes[INIT_STATE])

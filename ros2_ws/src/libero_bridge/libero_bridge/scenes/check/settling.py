"""Checks that the benchmark's initial states stay settled: physics alone, the arm held up, no rendering."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco import rollout

IDLE_STEPS = 10


@dataclass(frozen=True)
class Settling:
    """What the objects of a task do in `IDLE_STEPS` idle control steps, the worst over all initial states.

    Attributes:
        states: how many initial states were taken.
        slid: largest horizontal displacement, m.
        crept: largest displacement within a second stretch of idle steps, m: what has settled does not move on.
        dropped, raised: largest vertical displacement down and up, m. LIBERO's states hold objects some centimetres
            above or inside of what they stand on, so this is a fact about the states as much as about the world.
        tipped: largest change of what is up for an object, degrees.
        worst, worst_tip: initial state and object of the largest displacement and of the largest tipping.
    """

    states: int
    slid: float
    crept: float
    dropped: float
    raised: float
    tipped: float
    worst: str
    worst_tip: str


def settle(env, init_states: np.ndarray) -> Settling:
    """Lets every initial state go.

    Args:
        env: the robosuite environment inside of LIBERO's wrapper, reset.
        init_states: (n, 1 + nq + nv) time, qpos and qvel as LIBERO stores them.
    """
    model = env.sim.model._model
    objects = {name: model.body(instance.root_body).id for name, instance in env.objects_dict.items()}
    addresses = [int(model.jnt_qposadr[model.body_jntadr[body]]) for body in objects.values()]
    qpos = idle_trajectory(env, init_states)
    poses = np.stack([qpos[:, :, a : a + 7] for a in addresses], axis=2)  # (states, 3 moments, objects, 7)
    moved = poses[:, 1, :, :3] - poses[:, 0, :, :3]
    slid = np.linalg.norm(moved[..., :2], axis=-1)
    crept = np.linalg.norm(poses[:, 2, :, :3] - poses[:, 1, :, :3], axis=-1)
    tipped = _tilt(poses[:, 0, :, 3:], poses[:, 1, :, 3:])
    return Settling(
        states=len(init_states),
        slid=float(slid.max()),
        crept=float(crept.max()),
        dropped=float(-moved[..., 2].min()),
        raised=float(moved[..., 2].max()),
        tipped=float(tipped.max()),
        worst=_where(np.maximum(slid, crept), list(objects)),
        worst_tip=_where(tipped, list(objects)),
    )


def idle_trajectory(env, init_states: np.ndarray) -> np.ndarray:
    """(n, 3, nq): joint positions at the start, after the idle steps and after as many again."""
    model, data = env.sim.model._model, env.sim.data._data
    steps = round(IDLE_STEPS * env.control_timestep / model.opt.timestep)
    start = np.zeros((len(init_states), mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)))
    start[:, : init_states.shape[1]] = init_states
    control = np.stack([holding_control(env, state) for state in init_states])[:, None, :]
    control = np.repeat(control, 2 * steps, axis=1)
    states, _ = rollout.rollout(model, data, start, control)
    qpos = slice(1, 1 + model.nq)
    return np.stack([start[:, qpos], states[:, steps - 1, qpos], states[:, -1, qpos]], axis=1)


def holding_control(env, state: np.ndarray) -> np.ndarray:
    """(nu,) controls that carry the arm's weight at `state` and keep the gripper open."""
    model, data = env.sim.model._model, env.sim.data._data
    env.sim.set_state_from_flattened(state)
    env.sim.forward()
    robot = env.robots[0]
    control = np.zeros(model.nu)
    control[robot._ref_joint_actuator_indexes] = data.qfrc_bias[robot._ref_joint_vel_indexes]
    low, high = model.actuator_ctrlrange[robot._ref_joint_gripper_actuator_indexes].T
    control[robot._ref_joint_gripper_actuator_indexes] = np.where(np.abs(high) > np.abs(low), high, low)
    return control


def _where(values: np.ndarray, names: list[str]) -> str:
    state, index = np.unravel_index(np.argmax(values), values.shape)
    return f"state {state}, {names[index]}"


def _tilt(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Angle (degrees) between the world's up seen from an object before and after. Quaternions (..., 4) wxyz."""
    cosine = np.clip(np.sum(_up(before) * _up(after), axis=-1), -1, 1)
    return np.degrees(np.arccos(cosine))


def _up(quaternion: np.ndarray) -> np.ndarray:
    w, x, y, z = np.moveaxis(quaternion, -1, 0)
    return np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=-1)

"""LIBERO-plus's camera viewpoints: the scene camera's pose by the benchmark's formulas, its rounding included."""

from __future__ import annotations

from functools import cache

import numpy as np

from libero_bridge.plus.names import CameraView
from libero_bridge.tasks import ROBOT
from substep_core.contract import Camera, CameraRole, load_robot
from substep_core.rotation import quaternion_product, rotate

PIVOT = np.array([0.0, 0.0, 0.8])  # m, world frame
DECIMALS = 4  # that positions and quaternions are rounded to after each step
Y, Z = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])


@cache
def scene_camera() -> Camera:
    """The one that the benchmark moves and disturbs."""
    robot = load_robot(ROBOT)
    return robot.camera(robot.camera_of(CameraRole.SCENE))


def turned_pose(position: np.ndarray, quaternion: np.ndarray, view: CameraView) -> tuple[np.ndarray, np.ndarray]:
    """The camera's pose under a view.

    Args:
        position: (3,) m, world frame, of LIBERO's camera.
        quaternion: (4,) wxyz.

    Returns:
        The same for the moved camera; the quaternion is rounded, not of length 1.
    """
    if view.vertical:
        turn = _turn(Y, -view.vertical)
        position, quaternion = (
            _rounded(PIVOT + rotate(np.roll(turn, -1), position - PIVOT)),
            _rounded(_after(turn, quaternion)),
        )
    if view.horizontal:
        turn = _turn(Z, view.horizontal)
        position, quaternion = _rounded(rotate(np.roll(turn, -1), position)), _rounded(_after(turn, quaternion))
    if view.scale != 100:
        position = _rounded(PIVOT + (position - PIVOT) * view.scale / 100)
    if view.turned:
        quaternion = _rounded(_after(_turn(Z, view.turned), quaternion))
    if view.tilted:
        quaternion = _rounded(_after(_turn(Y, -view.tilted), quaternion))
    return _rounded(position), _rounded(quaternion)


def move_camera(env, view: CameraView) -> None:
    """Puts the scene camera of a robosuite environment, which stands where LIBERO has it, where the view has it."""
    camera = env.sim.model._model.cam(scene_camera().driver_name)
    camera.pos[:], quaternion = turned_pose(camera.pos, camera.quat, view)
    camera.quat[:] = quaternion / np.linalg.norm(quaternion)


def _turn(axis: np.ndarray, degrees: float) -> np.ndarray:
    """(4,) wxyz."""
    half = np.radians(degrees) / 2
    return np.append(np.cos(half), np.sin(half) * axis)


def _after(turn: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """``quaternion`` followed by ``turn`` about the world's axes; (4,) wxyz each, of length 1."""
    product = quaternion_product(np.roll(turn, -1), np.roll(quaternion / np.linalg.norm(quaternion), -1))
    return np.roll(product, 1)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(values, np.float64), DECIMALS)

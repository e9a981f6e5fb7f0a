"""Poses and rotations. World frame and metres unless said otherwise; x forward from the robot, z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Transform:
    """position (3,) m and rotation (3, 3) of a frame."""

    position: np.ndarray
    rotation: np.ndarray

    def __matmul__(self, other: Transform) -> Transform:
        return Transform(self.apply(other.position), self.rotation @ other.rotation)

    def inverse(self) -> Transform:
        return Transform(-self.rotation.T @ self.position, self.rotation.T)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) points of this frame -> the frame that the pose is given in."""
        return points @ self.rotation.T + self.position

    def moved(self, offset: np.ndarray) -> Transform:
        return Transform(self.position + offset, self.rotation)

    def raised(self, height: float) -> Transform:
        return self.moved(height * UP)


def pose_of(position: np.ndarray, quaternion: np.ndarray) -> Transform:
    """(3,) m, (4,) xyzw -> Pose."""
    return Transform(np.asarray(position, float), Rotation.from_quat(quaternion).as_matrix())


def turn(axis: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) rotation by ``angle`` rad about the unit vector ``axis``."""
    return Rotation.from_rotvec(np.asarray(axis, float) * angle).as_matrix()


def turn_by(vector: np.ndarray) -> np.ndarray:
    """(3,) rotation vector in rad -> (3, 3)."""
    return Rotation.from_rotvec(np.asarray(vector, float)).as_matrix()


def yaw(angle: float) -> np.ndarray:
    """(3, 3) rotation by ``angle`` rad about the vertical."""
    return turn(UP, angle)


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """(3, 3) -> (3,) rad."""
    return Rotation.from_matrix(rotation).as_rotvec()


def limited(vector: np.ndarray, length: float) -> np.ndarray:
    """The same direction, no longer than ``length``."""
    return vector * min(1.0, length / max(float(np.linalg.norm(vector)), 1e-12))


def rotation_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(3,) rotation vector in the world frame that turns ``source`` into ``target``, both (3, 3)."""
    return rotation_vector(target @ source.T)


def angle_between(source: np.ndarray, target: np.ndarray) -> float:
    """rad between two (3, 3) rotations."""
    return float(np.linalg.norm(rotation_between(source, target)))


def shortest_turn(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(3, 3) smallest rotation that takes the unit vector ``source`` to ``target``; they must not be opposite."""
    axis = np.cross(source, target)
    sine = np.linalg.norm(axis)
    if sine < 1e-9:
        return np.eye(3)
    return turn(axis / sine, float(np.arctan2(sine, source @ target)))


def most_vertical_axis(rotation: np.ndarray) -> tuple[int, float]:
    """Which axis of a frame stands up, and whether its positive (1.0) or negative (-1.0) end is on top."""
    index = int(np.argmax(np.abs(rotation[2])))
    return index, float(np.sign(rotation[2, index]))

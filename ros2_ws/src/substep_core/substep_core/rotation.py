"""Rotations in the conventions of the field: quaternions xyzw, rotation vectors, matrices."""

from __future__ import annotations

import math

import numpy as np


def quaternion_product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(4,) xyzw: the rotation ``second`` in the frame of ``first``. Signs multiply: −q gives the negative product."""
    x1, y1, z1, w1 = first
    x2, y2, z2, w2 = second
    return np.array(
        [
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
        ]
    )


def conjugate(quaternion: np.ndarray) -> np.ndarray:
    """(4,) xyzw of length 1 -> its inverse."""
    return np.asarray(quaternion) * (-1.0, -1.0, -1.0, 1.0)


def quaternion_to_axis_angle(quaternion: np.ndarray) -> np.ndarray:
    """(4,) xyzw unit quaternion -> (3,) rotation vector in rad.

    The sign of the quaternion is kept, as OpenVLA-OFT's evaluation does: angles lie in [0, 2π], and q and −q
    give different vectors. Statistics of published checkpoints depend on it.
    """
    w = float(np.clip(quaternion[3], -1.0, 1.0))
    norm = np.sqrt(1.0 - w * w)
    if norm < 1e-8:
        return np.zeros(3)
    return np.asarray(quaternion[:3], dtype=np.float64) * (2.0 * np.arccos(w) / norm)


def rotation_matrix(axis_angle: np.ndarray) -> np.ndarray:
    """Rotation vectors (…, 3) in rad -> rotation matrices (…, 3, 3), by Rodrigues' formula."""
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(axis_angle / np.maximum(angle[..., 0], 1e-12), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def axis_angle_to_quaternion(axis_angle: np.ndarray) -> np.ndarray:
    """(3,) rotation vector in rad -> (4,) xyzw of length 1."""
    angle = float(np.linalg.norm(axis_angle))
    half = 0.5 * np.sinc(angle / (2 * np.pi))  # sin(angle / 2) / angle
    return np.append(np.asarray(axis_angle, float) * half, np.cos(angle / 2))


def turn(vector: np.ndarray) -> np.ndarray:
    """Rotation vector (3,) in rad -> (3, 3). As ``rotation_matrix``, faster: for control loops."""
    x, y, z = map(float, vector)
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-12:
        return np.eye(3)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + (math.sin(angle) / angle) * cross + ((1 - math.cos(angle)) / angle**2) * (cross @ cross)


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) of an angle below π -> rotation vector (3,) in rad."""
    axis = 0.5 * np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    sine = float(np.sqrt(axis @ axis))
    if sine < 1e-12:
        return axis
    return axis * (np.arctan2(sine, (np.trace(rotation) - 1) / 2) / sine)


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """(3,) turned by a quaternion (4,) xyzw of length 1."""
    axis, w = np.asarray(quaternion[:3]), quaternion[3]
    return vector + 2 * w * np.cross(axis, vector) + 2 * np.cross(axis, np.cross(axis, vector))

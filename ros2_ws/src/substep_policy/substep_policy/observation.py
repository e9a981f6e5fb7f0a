"""What a policy sees. One definition for training, evaluation and the robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from substep_policy.scene import SceneState

PROPRIO_DIM = 8
ACTION_DIM = 7


@dataclass(frozen=True)
class Observation:
    """One instant of the world.

    Attributes:
        images: camera name -> (H, W, 3) uint8 RGB, upright.
        proprio: (8,) float32: end effector position in the world frame (m), its orientation as an
            axis-angle vector (rad), the two gripper finger joint positions (m).
        stamp: world time in nanoseconds.
        scene: ground truth of the simulated world; None on a real arm.
    """

    images: Mapping[str, np.ndarray]
    proprio: np.ndarray
    stamp: int = 0
    scene: SceneState | None = None

    def __post_init__(self) -> None:
        if self.proprio.shape != (PROPRIO_DIM,):
            raise ValueError(f"proprio has shape {self.proprio.shape}, expected ({PROPRIO_DIM},)")
        if not np.isfinite(self.proprio).all():
            raise ValueError(f"proprio is not finite: {self.proprio}")
        for name, image in self.images.items():
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise ValueError(f"image {name!r} is {image.dtype} {image.shape}, expected uint8 (H, W, 3)")

    @property
    def gripper_width(self) -> float:
        """m between the fingers."""
        return float(self.proprio[-2] - self.proprio[-1])


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


def proprioception(eef_position: np.ndarray, eef_quaternion: np.ndarray, gripper: np.ndarray) -> np.ndarray:
    """(3,) m, (4,) xyzw, (2,) m -> (8,) float32 proprioception vector."""
    return np.concatenate([eef_position, quaternion_to_axis_angle(eef_quaternion), gripper]).astype(np.float32)

"""What a policy sees. One definition for training, evaluation and the robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from substep_core.scene import SceneState


@dataclass(frozen=True)
class Observation:
    """One instant of the world.

    Attributes:
        images: camera name -> (H, W, 3) uint8 RGB, upright.
        proprio: (S,) float32, the state groups of a robot contract in their order.
        stamp: world time in nanoseconds.
        scene: ground truth of the simulated world; None on a real arm.
    """

    images: Mapping[str, np.ndarray]
    proprio: np.ndarray
    stamp: int = 0
    scene: SceneState | None = None

    def __post_init__(self) -> None:
        if self.proprio.ndim != 1:
            raise ValueError(f"proprio has shape {self.proprio.shape}, expected one vector")
        if not np.isfinite(self.proprio).all():
            raise ValueError(f"proprio is not finite: {self.proprio}")
        for name, image in self.images.items():
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise ValueError(f"image {name!r} is {image.dtype} {image.shape}, expected uint8 (H, W, 3)")

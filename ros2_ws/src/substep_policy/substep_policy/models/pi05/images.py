"""Camera images to pixels as openpi's PyTorch code and LeRobot make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

if TYPE_CHECKING:
    from substep_policy.models.pi05.model import Pi05ModelConfig


class Pi05Images:
    """Images of one observation, of any size -> (cameras, 3, S, S) float32 in [−1, 1].

    They keep their proportions: fitted into the square without antialiasing, centred, the rest black. openpi's client
    for robots makes images smaller with antialiasing before it sends them; that is another picture by some grey levels.
    """

    def __init__(self, config: Pi05ModelConfig) -> None:
        self._cameras, self._size = config.cameras, config.backbone.image_size

    def __call__(self, images: Mapping[str, np.ndarray]) -> np.ndarray:
        """Raises: ValueError: a camera the model needs is missing."""
        missing = [name for name in self._cameras if name not in images]
        if missing:
            raise ValueError(f"the model needs camera {', '.join(missing)}; the observation has {sorted(images)}")
        return np.stack([pixels(_tensor(images[name]), self._size)[0] for name in self._cameras])


def fit(frame: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (size, size, 3) uint8 with the same pixels, as far as whole numbers have them."""
    if frame.shape[:2] == (size, size):
        return frame
    shown = (pixels(_tensor(frame), size)[0] + 1) * 127.5
    return shown.round().to(torch.uint8).movedim(0, -1).numpy()


def _tensor(image: np.ndarray) -> Tensor:
    """(H, W, 3) -> (1, H, W, 3); images that were turned upright are views, which torch does not take."""
    return torch.from_numpy(np.ascontiguousarray(image[None]))


def pixels(frames: Tensor, size: int) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, size, size) float32 in [−1, 1]."""
    frames = frames.movedim(-1, 1).float() / 255
    height, width = frames.shape[-2:]
    if (height, width) != (size, size):
        scale = max(height / size, width / size)
        height, width = int(height / scale), int(width / scale)
        frames = interpolate(frames, size=(height, width), mode="bilinear", align_corners=False).clamp(0.0, 1.0)
        above, left = (size - height) // 2, (size - width) // 2
        frames = pad(frames, (left, size - width - left, above, size - height - above))
    return frames * 2 - 1

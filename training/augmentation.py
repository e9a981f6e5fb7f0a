"""Image augmentation on whole batches: small shifts and changes of light."""

from __future__ import annotations

import torch
from torch import Tensor

from substep_policy.configuration import configuration


@configuration
class Augmentation:
    """Attributes:

    shift: largest shift in pixels, along each axis, of every image on its own; edges are repeated.
    brightness, contrast: largest relative change, of every image on its own.
    """

    shift: int = 4
    brightness: float = 0.15
    contrast: float = 0.15

    def __post_init__(self) -> None:
        if self.shift < 0 or not 0 <= self.brightness < 1 or not 0 <= self.contrast < 1:
            raise ValueError(f"{self}: shift must be 0 or more, brightness and contrast in [0, 1)")

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(B, cameras, S, S, 3) uint8 -> the same, changed."""
        flat = images.flatten(0, 1)
        flat = self._relight(self._shift(flat, generator), generator)
        return flat.unflatten(0, images.shape[:2])

    def _shift(self, images: Tensor, generator: torch.Generator) -> Tensor:
        count, height, width = images.shape[:3]
        offset = torch.randint(-self.shift, self.shift + 1, (2, count, 1), generator=generator)
        rows = (torch.arange(height) + offset[0]).clamp(0, height - 1)
        columns = (torch.arange(width) + offset[1]).clamp(0, width - 1)
        return images[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]

    def _relight(self, images: Tensor, generator: torch.Generator) -> Tensor:
        count = len(images)
        low_high = torch.rand((2, count, 1, 1, 1), generator=generator) * 2 - 1
        gain, offset = 1 + self.contrast * low_high[0], 255 * self.brightness * low_high[1] / 2
        return ((images.float() - 127.5) * gain + 127.5 + offset).clamp(0, 255).to(torch.uint8)

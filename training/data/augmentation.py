"""Image augmentation on whole batches, every image on its own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import cv2
import numpy as np
import torch
from pydantic import Discriminator, Tag
from torch import Tensor

from substep_core.configuration import configuration
from substep_policy.models.openvla.images import CROP_AREA, crop


@configuration
class Augmentation:
    """Small shifts and changes of light.

    Attributes:
        shift: largest shift in pixels, along each axis; edges are repeated.
        brightness, contrast: largest relative change.
    """

    type: Literal["shift"] = "shift"
    shift: int = 4
    brightness: float = 0.15
    contrast: float = 0.15

    crops = False

    def __post_init__(self) -> None:
        if self.shift < 0 or not 0 <= self.brightness < 1 or not 0 <= self.contrast < 1:
            raise ValueError(f"{self}: shift must be 0 or more, brightness and contrast in [0, 1)")

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(B, cameras, S, S, 3) uint8 -> the same, changed."""
        flat = images.flatten(0, 1).numpy()
        offsets = torch.randint(-self.shift, self.shift + 1, (len(flat), 2), generator=generator).tolist()
        tables = self._tables(len(flat), generator)
        changed = np.empty_like(flat)
        for image, (down, right), table, out in zip(flat, offsets, tables, changed, strict=True):
            cv2.LUT(self._shift(image, down, right), table, dst=out)
        return torch.from_numpy(changed).unflatten(0, images.shape[:2])

    def _shift(self, image: np.ndarray, down: int, right: int) -> np.ndarray:
        """(S, S, 3) uint8 -> the same, what it shows moved by so many pixels."""
        height, width = image.shape[:2]
        border = self.shift
        padded = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
        return padded[border - down : border - down + height, border - right : border - right + width]

    def _tables(self, count: int, generator: torch.Generator) -> np.ndarray:
        """(count, 256) uint8: what becomes of each value in each image."""
        low_high = torch.rand((2, count, 1), generator=generator) * 2 - 1
        gain, offset = 1 + self.contrast * low_high[0], 255 * self.brightness * low_high[1] / 2
        return ((torch.arange(256) - 127.5) * gain + 127.5 + offset).clamp(0, 255).to(torch.uint8).numpy()


@configuration
class CropAndColour:
    """OpenVLA's: a crop somewhere, enlarged, then brightness, contrast, saturation and hue in that order.

    The crop keeps ``CROP_AREA`` of the image, as does the middle crop that a policy looks at.

    Attributes:
        brightness: largest offset, of values in [0, 1].
        contrast, saturation: largest relative change.
        hue: largest turn, as a share of the colour circle.
    """

    type: Literal["crop_and_colour"] = "crop_and_colour"
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.05

    crops = True

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be in [0, 1)")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"hue is {self.hue}, must be from 0 to 0.5")

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(B, cameras, S, S, 3) uint8 -> the same, changed."""
        flat = images.flatten(0, 1).numpy()
        draws = (torch.rand((len(flat), 6), generator=generator) * 2 - 1).numpy()
        changed = [self._change(image, *draw) for image, draw in zip(flat, draws.astype(float), strict=True)]
        return torch.from_numpy(np.stack(changed)).unflatten(0, images.shape[:2])

    def _change(self, image: np.ndarray, *draw: float) -> np.ndarray:
        """(S, S, 3) uint8 and six numbers in [−1, 1] -> (S, S, 3) uint8."""
        right, down, brightness, contrast, saturation, hue = draw
        colours = crop(image, CROP_AREA, (right, down)).astype(np.float32) / 255.0
        colours = (colours + self.brightness * brightness).clip(0, 1)
        mean = colours.mean(axis=(0, 1))
        colours = ((colours - mean) * (1 + self.contrast * contrast) + mean).clip(0, 1)
        hsv = cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + 360 * self.hue * hue) % 360
        hsv[..., 1] = (hsv[..., 1] * (1 + self.saturation * saturation)).clip(0, 1)
        return (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255.5).clip(0, 255).astype(np.uint8)


def _type(value: Any) -> str | None:
    return value.get("type", "shift") if isinstance(value, dict) else getattr(value, "type", None)


ImageAugmentation = Annotated[
    Annotated[Augmentation, Tag("shift")] | Annotated[CropAndColour, Tag("crop_and_colour")], Discriminator(_type)
]

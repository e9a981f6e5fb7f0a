"""Camera images in the form the published checkpoints were trained on.

Their training images are LIBERO's turned by 180°. Ours are upright in the geometric sense, and therefore mirrored
left to right against theirs; the mirroring is undone here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from substep_policy.models.openvla import jpeg

if TYPE_CHECKING:
    from substep_policy.models.openvla.model import OpenVLAModelConfig

CROP_AREA = 0.9


class OpenVLAImages:
    """Images of one observation -> pixels (cameras, 6, S, S) float32, normalised for DINOv2 and for SigLIP."""

    def __init__(self, config: OpenVLAModelConfig) -> None:
        backbone = config.backbone
        self._cameras, self._size = config.cameras, backbone.image_size
        self._means = np.array([*backbone.dinov2.mean, *backbone.siglip.mean], np.float32)[:, None, None]
        self._stds = np.array([*backbone.dinov2.std, *backbone.siglip.std], np.float32)[:, None, None]

    def __call__(self, images: Mapping[str, np.ndarray]) -> np.ndarray:
        """Camera name -> (H, W, 3) uint8 RGB, upright, any size.

        Raises:
            ValueError: a camera the model needs is missing.
        """
        missing = [name for name in self._cameras if name not in images]
        if missing:
            raise ValueError(f"the model needs camera {', '.join(missing)}; the observation has {sorted(images)}")
        return np.stack([self.pixels(fit(images[name], self._size)) for name in self._cameras])

    def pixels(self, fitting: np.ndarray, is_cropped: bool = False) -> np.ndarray:
        """(S, S, 3) uint8 RGB, upright, that has been through ``fit`` -> (6, S, S) float32.

        Args:
            is_cropped: the image comes from augmentation.

        Raises:
            ValueError: the image has another size.
        """
        if fitting.shape != (self._size, self._size, 3):
            raise ValueError(f"an image is {fitting.shape}, expected {(self._size, self._size, 3)} as ``fit`` makes it")
        image = mirror(fitting)
        prepared = image if is_cropped else centre_crop(image, CROP_AREA)
        unit = prepared.transpose(2, 0, 1).astype(np.float32) / 255.0
        return (np.concatenate([unit, unit]) - self._means) / self._stds


def mirror(image: np.ndarray) -> np.ndarray:
    """Swap left and right of (H, W, 3)."""
    return image[:, ::-1]


def fit(image: np.ndarray, size: int, is_from_jpeg: bool = False) -> np.ndarray:
    """(H, W, 3) uint8, upright, of any size -> (size, size, 3) uint8, upright: what the training store keeps.

    Through JPEG and Lanczos, as when the published training data were made: an image that has the size already goes
    through JPEG too, so nothing may go through here twice.

    Args:
        is_from_jpeg: the image was decoded from a JPEG file, as the published training data are: it does not go
            through JPEG again.
    """
    # JPEG is not symmetrical: it is done on the image as the published training had it.
    seen = mirror(image)
    return mirror(lanczos(seen if is_from_jpeg else jpeg.decode(jpeg.encode(seen)), size))


def lanczos(image: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (size, size, 3) uint8 as TensorFlow resizes: in floating point, rounded once at the end.

    Pillow's resizing of RGB images rounds between the two directions, and differs by a level or two.
    """
    channels = [Image.fromarray(channel.astype(np.float32)) for channel in image.transpose(2, 0, 1)]
    resized = [np.asarray(channel.resize((size, size), Image.Resampling.LANCZOS)) for channel in channels]
    return np.stack(resized, axis=-1).round().clip(0, 255).astype(np.uint8)


def centre_crop(image: np.ndarray, area: float) -> np.ndarray:
    """``crop`` in the middle."""
    return crop(image, area, (0.0, 0.0))


def crop(image: np.ndarray, area: float, place: tuple[float, float]) -> np.ndarray:
    """Keep a square of ``area`` of (S, S, 3) uint8 and enlarge it to the old size, bilinearly, corner on corner.

    Brightness is cut off and not rounded, as TensorFlow does when it turns [0, 1] into bytes.

    Args:
        place: of the square to the right and downwards, from −1 (at one edge) to 1 (at the other).
    """
    import torch  # seconds to import, and who collects or stores frames crops none
    from torch.nn import functional

    side = area**0.5
    right, down = ((1.0 - side) * offset for offset in place)
    unit = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].double() / 255.0
    corners = torch.tensor([[[side, 0.0, right], [0.0, side, down]]], dtype=torch.float64)
    grid = functional.affine_grid(corners, list(unit.shape), align_corners=True)
    cropped = functional.grid_sample(unit, grid, mode="bilinear", align_corners=True)[0]
    return (cropped * 255.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()

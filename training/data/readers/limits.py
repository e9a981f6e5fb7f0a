"""What files may say of their own size. They come from anywhere, and a line can declare more than any memory holds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from substep_policy.memory import free_memory
from training.data.readers.demonstration import DemonstrationError
from training.labels.file import MAX_TIMESTEPS

MAX_PIXELS = 2**26  # of an image; 8K video has half of that
MAX_BYTES = 2**34  # of one array


def check_length(timesteps: int, where: str) -> None:
    """Raises: DemonstrationError: no episode is that long."""
    if not 0 <= timesteps <= MAX_TIMESTEPS:
        raise DemonstrationError(f"{where} says {timesteps} timesteps, expected 0 to {MAX_TIMESTEPS}")


def check_image_size(width: int, height: int, where: str) -> None:
    """Raises: DemonstrationError: no camera's image is that large."""
    if not 0 < width * height <= MAX_PIXELS:
        raise DemonstrationError(f"{where}: an image says {width} x {height} pixels, expected 1 to {MAX_PIXELS}")


def check_array(shape: Sequence[int], item_bytes: int, where: str) -> None:
    """Raises: DemonstrationError: the array would not fit into memory, or leave no room for what is made of it."""
    limit = min(MAX_BYTES, free_memory() / 2)
    if (size := math.prod(shape) * item_bytes) > limit:
        declared, room = size / 2**30, limit / 2**30
        raise DemonstrationError(f"{where} says {tuple(shape)}, {declared:.1f} GiB, expected at most {room:.1f}")

"""Orientation of stored images; the one place where frames are turned upright."""

from __future__ import annotations

import enum

import numpy as np


class ImageOrientation(enum.StrEnum):
    """How stored frames relate to upright ones."""

    UPRIGHT = "upright"
    OPENGL = "opengl"  # upside down: row 0 is the bottom, as robosuite stores them (LIBERO's HDF5 files)
    HALF_TURN_OF_OPENGL = "half_turn_of_opengl"  # upright but mirrored (modified_libero_rlds and what came of it)

    def to_upright(self, frames: np.ndarray) -> np.ndarray:
        """(…, H, W, 3) stored frames -> upright ones, and the other way round. Raises: ValueError: they are none."""
        if frames.ndim < 3:
            raise ValueError(f"frames have shape {frames.shape}, expected (…, H, W, 3)")
        match self:
            case ImageOrientation.OPENGL:
                return frames[..., ::-1, :, :]
            case ImageOrientation.HALF_TURN_OF_OPENGL:
                return frames[..., :, ::-1, :]
        return frames

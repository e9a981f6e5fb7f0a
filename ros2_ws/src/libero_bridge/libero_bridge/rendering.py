"""Offscreen camera images, upright, without what costs time on a software renderer."""

from __future__ import annotations

import contextlib
import importlib
import sys

import mujoco
import numpy as np

COLLISION_GROUP = 0
MIN_IMAGE_SIDE, MAX_IMAGE_SIDE = 16, 2048
LIBERO_SAMPLES = 4  # per pixel
_EFFECTS = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION)


def check_image_size(height: int, width: int) -> None:
    """Raises ValueError: a side is not within ``MIN_IMAGE_SIDE`` to ``MAX_IMAGE_SIDE`` pixels."""
    if not all(MIN_IMAGE_SIDE <= side <= MAX_IMAGE_SIDE for side in (height, width)):
        raise ValueError(
            f"image size {height}x{width} is out of range: expected {MIN_IMAGE_SIDE} to {MAX_IMAGE_SIDE} pixels"
        )


class CameraRenderer:
    """Renders named cameras of one model. The OpenGL context belongs to the thread that made it."""

    def __init__(self, model: mujoco.MjModel, height: int, width: int, effects: bool = False) -> None:
        """effects: shadows, reflections and smoothed edges, as LIBERO renders them.

        Raises:
            ValueError: the size is out of range.
        """
        check_image_size(height, width)
        _load_torchs_compiler_first()
        model.vis.quality.offsamples = LIBERO_SAMPLES if effects else 0
        model.vis.global_.offheight = height
        model.vis.global_.offwidth = width
        self._renderer = mujoco.Renderer(model, height, width)
        self._options = mujoco.MjvOption()
        self._options.geomgroup[COLLISION_GROUP] = 0
        self._effects = effects

    def render(self, data: mujoco.MjData, camera: str) -> np.ndarray:
        """(height, width, 3) uint8 RGB: row 0 is the top of the view, column 0 its left."""
        self._renderer.update_scene(data, camera, self._options)
        for flag in _EFFECTS:
            self._renderer.scene.flags[flag] = self._effects
        return self._renderer.render()

    def close(self) -> None:
        self._renderer.close()


def _load_torchs_compiler_first() -> None:
    """PyTorch's compiler and Mesa's software renderer each bring an LLVM; loaded after Mesa's, PyTorch's crashes.

    PyTorch loads its own late (any optimizer does it), so where PyTorch is in use it is loaded here.
    """
    if "torch" in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module("triton._C.libtriton")

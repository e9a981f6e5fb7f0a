"""Offscreen camera images without what costs time on a software renderer: multisampling, shadows, reflections."""

from __future__ import annotations

import mujoco
import numpy as np

COLLISION_GROUP = 0
MIN_IMAGE_SIDE, MAX_IMAGE_SIDE = 16, 2048


class CameraRenderer:
    """Renders named cameras of one model. The OpenGL context belongs to the thread that made it."""

    def __init__(self, model: mujoco.MjModel, height: int, width: int) -> None:
        """Raises ValueError: a side is not within ``MIN_IMAGE_SIDE`` to ``MAX_IMAGE_SIDE`` pixels."""
        if not all(MIN_IMAGE_SIDE <= side <= MAX_IMAGE_SIDE for side in (height, width)):
            raise ValueError(
                f"image size {height}x{width} is out of range: expected {MIN_IMAGE_SIDE} to {MAX_IMAGE_SIDE} pixels"
            )
        model.vis.quality.offsamples = 0
        model.vis.global_.offheight = height
        model.vis.global_.offwidth = width
        self._renderer = mujoco.Renderer(model, height, width)
        self._options = mujoco.MjvOption()
        self._options.geomgroup[COLLISION_GROUP] = 0
        self._flags_off = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION)

    def render(self, data: mujoco.MjData, camera: str) -> np.ndarray:
        """(height, width, 3) uint8 RGB, upright: row 0 is the top of the view, column 0 its left."""
        self._renderer.update_scene(data, camera, self._options)
        for flag in self._flags_off:
            self._renderer.scene.flags[flag] = 0
        return self._renderer.render()

    def close(self) -> None:
        self._renderer.close()

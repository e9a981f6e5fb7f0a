"""What a LIBERO-plus task changes in LIBERO's world. Implements ``libero_bridge.tasks.WorldChange``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from libero_bridge.plus.camera import move_camera, scene_camera
from libero_bridge.plus.names import Look, PlusName
from libero_bridge.plus.robot_start import start_joints


def with_noise(camera: str, image: np.ndarray, noise: int, generator: np.random.Generator) -> np.ndarray:
    """A camera's picture (H, W, 3) uint8 RGB, the scene camera's with one of the 50 noises; 0: none."""
    if not noise or camera != scene_camera().name:
        return image
    from libero_bridge.plus.sensor_noise import noisy

    return noisy(image, noise, generator)


@dataclass(frozen=True)
class PlusChange:
    """By the benchmark's own formulas, but for lights and textures, whose stand-ins are drawn.

    The arm begins as in the benchmark: its first joint angles are in force for the reset alone, and LIBERO's initial
    state puts the arm back to its home; the controller keeps the goal and the resting posture of the reset, and pulls
    the arm most of the way there in the ten idle steps that follow.

    Attributes:
        name: of the task, taken apart.
        embedded: the look that is drawn, and what the benchmark calls its own scene of it; None: nothing is.
    """

    name: PlusName
    embedded: tuple[Look, str] | None = None

    def prepare(self, env) -> None:
        if self.name.view is not None:
            move_camera(env, self.name.view)
        if self.name.robot:
            env.robots[0].init_qpos = start_joints(self.name.robot)
        if self.embedded is not None:
            self._prepare_looks(env.sim.model._model, *self.embedded)

    def image(self, camera: str, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return with_noise(camera, image, self.name.noise, generator)

    def _prepare_looks(self, model, look: Look, scene: str) -> None:
        from libero_bridge.plus.looks import relight, retexture

        if look == "light":
            relight(model, self.name.file)
        else:
            retexture(model, self.name.file, scene, walls=look == "tb")

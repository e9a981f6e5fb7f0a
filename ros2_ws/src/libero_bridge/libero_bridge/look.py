"""Another look of a world that is built already: its camera, lights, surfaces and pictures, not what moves in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from libero_bridge.plus.camera import move_camera
from libero_bridge.plus.change import with_noise
from libero_bridge.plus.looks import relight, retexture
from libero_bridge.plus.names import CameraView

DRAWN = (
    "cam_pos", "cam_quat", "light_pos", "light_dir", "light_diffuse", "light_specular", "tex_data",
)  # fmt: skip


@dataclass(frozen=True)
class VariedLook:
    """What is drawn otherwise. Implements ``libero_bridge.tasks.WorldChange``; nothing that moves is changed.

    The means are those of LIBERO-plus's embedded stand-ins, so that a policy can be trained for them.

    Attributes:
        name: lights and surfaces are a function of it.
        view: where the scene camera is; None: where it was.
        lights, surfaces: whether they are others; surfaces are the table's (or the floor's) and the walls'.
        noise: which of LIBERO-plus's 50 the scene camera's pictures have; 0: none.
    """

    name: str
    view: CameraView | None = None
    lights: bool = False
    surfaces: bool = False
    noise: int = 0

    def prepare(self, env) -> None:
        if self.view is not None:
            move_camera(env, self.view)
        model = env.sim.model._model
        if self.lights:
            relight(model, self.name)
        if self.surfaces:
            retexture(model, self.name, scene="", walls=True)

    def image(self, camera: str, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return with_noise(camera, image, self.noise, generator)


def drawn_values(model: mujoco.MjModel) -> Mapping[str, np.ndarray]:
    """Copies of all that a look changes."""
    return {name: getattr(model, name).copy() for name in DRAWN}


def restore(model: mujoco.MjModel, values: Mapping[str, np.ndarray]) -> None:
    """Puts ``drawn_values`` back."""
    for name, value in values.items():
        getattr(model, name)[:] = value

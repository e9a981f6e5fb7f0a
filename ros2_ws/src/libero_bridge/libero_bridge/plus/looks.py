"""Embedded stand-ins for LIBERO-plus's lights and textures, which come with its assets: drawn from the task's name.

They are instances of the same dimensions and not the benchmark's own, and are called "embedded" wherever a figure
appears. They change a compiled model, so that they go with any asset tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import mujoco
import numpy as np
from PIL import Image

from libero_bridge.scenes import surfaces

TABLE_GEOMS, TABLE_BODIES = ("table_visual", "table_leg"), ("living_room_table", "study_table")
FLOOR_GEOM, WALL_GEOMS = "floor", "wall_"
BRIGHTNESS = (0.4, 1.8)  # times LIBERO's lights, drawn evenly on a logarithmic scale
TINT = 0.75  # the least of a colour that is left
STEEPEST = np.radians(65)  # of a light against the vertical
DISTANCE = 4.0  # m from the middle of the table to a light
ONE_LIGHT_ONLY = 0.3  # how often
DRAWN_GROUP = 1

Color = tuple[int, int, int]
MATERIALS: dict[str, Callable[[Color, int], Image.Image]] = {
    "wood": lambda color, seed: surfaces.wood(color, contrast=14, size=256, seed=seed),
    "marble": lambda color, seed: surfaces.marble(color, tuple(value // 2 for value in color), 8, 256, seed),
    "tiles": lambda color, seed: surfaces.tiles(color, tuple(value // 2 for value in color), 6, 14, 252, seed),
    "cobblestone": lambda color, seed: surfaces.tiles(color, (60, 58, 54), 12, 24, 252, seed),
    "fabric": lambda color, seed: surfaces.linen(color, 14, 256, seed),
    "desert": lambda color, seed: surfaces.plaster(color, 18, 6, 256, seed),
}


def relight(model: mujoco.MjModel, name: str) -> None:
    """Other directions, colours, brightness and gloss of all lights."""
    generator = generator_of(name)
    brightness = np.exp(generator.uniform(*np.log(BRIGHTNESS)))
    only = generator.integers(model.nlight) if generator.random() < ONE_LIGHT_ONLY else None
    for light in range(model.nlight):
        azimuth, tilt = generator.uniform(-np.pi, np.pi), generator.uniform(0, STEEPEST)
        away = np.array([np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth), np.cos(tilt)])
        model.light_pos[light], model.light_dir[light] = DISTANCE * away, -away
        model.light_diffuse[light] *= brightness * generator.uniform(TINT, 1, 3)
        model.light_specular[light] = generator.uniform(0, 1)
        if only is not None and light != only:
            model.light_diffuse[light] = model.light_specular[light] = 0


def retexture(model: mujoco.MjModel, name: str, scene: str, walls: bool) -> None:
    """Another material on the table, or the floor where there is no table, and other walls if so wanted.

    Args:
        scene: what the benchmark calls its own scene: a material that is named there is the one that is drawn.
    """
    generator = generator_of(name)
    table = [geom for geom in range(model.ngeom) if _is_table(model, geom)]
    floor = [geom for geom in range(model.ngeom) if model.geom(geom).name == FLOOR_GEOM]
    _paint(model, table or floor, _surface(scene.lower(), generator))
    if walls:
        drawn = [geom for geom in range(model.ngeom) if model.geom(geom).name.startswith(WALL_GEOMS)]
        _paint(model, drawn, surfaces.plaster(_color(generator), 6, 3, 256, int(generator.integers(2**31))))


def _surface(scene: str, generator: np.random.Generator) -> Image.Image:
    named = [name for name in MATERIALS if name in scene]
    drawn = list(MATERIALS)[generator.integers(len(MATERIALS))]
    return MATERIALS[named[0] if named else drawn](_color(generator), int(generator.integers(2**31)))


def _is_table(model: mujoco.MjModel, geom: int) -> bool:
    if model.geom_group[geom] != DRAWN_GROUP:
        return False
    body = model.body(model.geom_bodyid[geom]).name
    return model.geom(geom).name.startswith(TABLE_GEOMS) or body in TABLE_BODIES


def _paint(model: mujoco.MjModel, geoms: list[int], image: Image.Image) -> None:
    """Raises: RuntimeError: there is nothing to paint, so that the scene is not as it is thought to be."""
    materials = {int(model.geom_matid[geom]) for geom in geoms} - {-1}
    textures = {int(texture) for material in materials for texture in np.ravel(model.mat_texid[material])} - {-1}
    if not textures:
        raise RuntimeError("the scene has no textured table, floor or walls of the names that are known")
    for texture in textures:
        width, height, channels = model.tex_width[texture], model.tex_height[texture], model.tex_nchannel[texture]
        pixels = np.asarray(image.convert("RGB").resize((width, height)))[..., :channels]
        start = model.tex_adr[texture]
        model.tex_data[start : start + pixels.size] = pixels.ravel()


def _color(generator: np.random.Generator) -> Color:
    """Half of the way from a grey to any colour."""
    values = generator.integers(50, 235, 3)
    return tuple(int(value) for value in (values + values.mean()) / 2)


def generator_of(name: str) -> np.random.Generator:
    """The same for a name on every machine."""
    return np.random.default_rng(list(hashlib.sha256(name.encode()).digest()[:8]))

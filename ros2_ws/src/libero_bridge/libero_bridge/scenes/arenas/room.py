"""Parts of every arena: floor and walls in LIBERO's styles, lights, LIBERO's cameras."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np

from libero_bridge.scenes.builder import Body, Contact, Mesh, Model, box, cylinder

PLAIN = Contact(friction=(1, 0.005, 0.0001), solref=(0.02, 1), solimp=(0.9, 0.95, 0.001))
# LIBERO's arenas exchange these textures' files for those of the style asked for.
FLOOR_TEXTURE, WALL_TEXTURE = "texplane", "tex-wall"
FLOOR_LOOK, WALL_LOOK = "floorplane", "walls_mat"
WALL_HEIGHT = 3.0
# name -> (centre, direction it faces (rad about z), half width)
CORNERED_WALLS = {
    "leftcorner": ((-1.25, 2.25), -math.pi / 4, 1.06),
    "rightcorner": ((-1.25, -2.25), math.pi / 4, 1.06),
    "left": ((1.25, 3.0), -math.pi / 2, 1.75),
    "right": ((1.25, -3.0), math.pi / 2, 1.75),
    "rear": ((-2.0, 0.0), 0.0, 1.5),
    "front": ((3.0, 0.0), math.pi, 3.0),
}
SQUARE_WALLS = {
    "left": ((0.5, 3.0), -math.pi / 2, 2.5),
    "right": ((0.5, -3.0), math.pi / 2, 2.5),
    "rear": ((-2.0, 0.0), 0.0, 3.0),
    "front": ((3.0, 0.0), math.pi, 3.0),
}
CAMERAS = {
    "frontview": ((1.0, 0.0, 1.45), (0.56, 0.43, 0.43, 0.56)),
    "birdview": ((-0.2, 0.0, 3.0), (0.7071, 0.0, 0.0, 0.7071)),
    "agentview": ((0.5, 0.0, 1.35), (0.653, 0.271, 0.271, 0.653)),
    "sideview": ((-0.0565, 1.2761, 1.4880), (0.0099051, 0.0068780, 0.5912228, 0.8064181)),
}


def room(name: str, walls: dict = CORNERED_WALLS, floor_body: bool = False, shine: float = 0.1) -> Model:
    """An empty room of 6 x 6 m.

    Args:
        name: the model's name.
        walls: name -> centre, direction and half width.
        floor_body: whether LIBERO looks for the floor inside of a body named "floor" (rather than in the world).
        shine: of the walls, 0 to 1.
    """
    model = Model(name)
    ET.SubElement(
        model.asset,
        "texture",
        type="skybox",
        builtin="gradient",
        rgb1=".9 .9 1",
        rgb2=".2 .3 .4",
        width="64",
        height="64",
    )
    _style(model, FLOOR_TEXTURE, "light-gray-floor-tile.png", FLOOR_LOOK, specular=0.0, shininess=0.0)
    _style(model, WALL_TEXTURE, "light-gray-plaster.png", WALL_LOOK, specular=0.8, shininess=shine)
    world = model.world()
    floor = world.body("floor") if floor_body else world
    ET.SubElement(
        floor.xml,
        "geom",
        name="floor",
        type="plane",
        size="3 3 .125",
        pos="0 0 0",
        condim="3",
        group="1",
        material=FLOOR_LOOK,
    )
    for wall, (centre, azimuth, half_width) in walls.items():
        shape = box(half_width, WALL_HEIGHT / 2, 0.01)
        world.visual(shape, WALL_LOOK, (*centre, WALL_HEIGHT / 2), facing(azimuth), name=f"wall_{wall}_visual")
    _lights(world)
    for camera, (position, quaternion) in CAMERAS.items():
        ET.SubElement(world.xml, "camera", name=camera, mode="fixed", pos=_text(position), quat=_text(quaternion))
    return model


def facing(azimuth: float) -> tuple[float, float, float, float]:
    """Quaternion that stands a picture up: its z looks along the azimuth (rad, about the world's z), its y is up."""
    c, s = math.cos(azimuth / 2) / 2, math.sin(azimuth / 2) / 2
    return (c - s, c - s, c + s, c + s)


def picture(half_width: float, half_height: float, cells: int = 4) -> Mesh:
    """A rectangle facing +z that shows its texture once, in a grid of `cells`: light is computed per corner."""
    steps = np.linspace(-1, 1, cells + 1)
    vertices = [(x * half_width, y * half_height, 0.0) for y in steps for x in steps]
    texcoords = [((x + 1) / 2, (1 - y) / 2) for y in steps for x in steps]
    faces = []
    for row in range(cells):
        for column in range(cells):
            a = row * (cells + 1) + column
            b = a + cells + 1
            faces += [(a, a + 1, b + 1), (a, b + 1, b)]
    return Mesh(np.array(vertices), np.array(faces), np.array(texcoords))


def table_with_legs(model: Model, look: str, legs: str) -> Body:
    """The table whose parts LIBERO places and sizes by their names."""
    table = model.world().body("table", (0, 0, 0.4))
    half = box(0.4, 0.4, 0.4)
    table.contact(half, name="table_collision", contact=PLAIN)
    table.visual(half, look, name="table_visual")
    table.site("table_top", (0, 0, 0.4))
    for leg in range(1, 5):
        table.visual(cylinder(0.05, 0.1), legs, name=f"table_leg{leg}_visual")
    return table


def _style(model: Model, texture: str, file: str, material: str, specular: float, shininess: float) -> None:
    ET.SubElement(model.asset, "texture", name=texture, type="2d", file=f"../textures/{file}")
    attributes = {"texrepeat": "3 3", "texuniform": "true", "reflectance": "0"}
    attributes |= {"specular": f"{specular:g}", "shininess": f"{shininess:g}"}
    ET.SubElement(model.asset, "material", attributes, name=material, texture=texture)


def _lights(world: Body) -> None:
    for name, position in (("light1", (1, 1, 4)), ("light2", (-3, -3, 4))):
        light(world, name, position, (0, -0.15, -1), specular=0.3)


def light(world: Body, name: str, pos: tuple, dir: tuple, specular: float, directional: bool = False) -> None:
    """A white light without shadows, which a software renderer could not afford."""
    attributes = {"diffuse": ".8 .8 .8", "specular": _text((specular,) * 3), "castshadow": "false"}
    attributes |= {"pos": _text(pos), "dir": _text(dir), "directional": str(directional).lower()}
    ET.SubElement(world.xml, "light", attributes, name=name)


def _text(values: tuple) -> str:
    return " ".join(f"{value:.7g}" for value in values)

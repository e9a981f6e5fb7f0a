"""The kitchen: a pale table, and behind the robot a kitchen unit with stove, pots and fridge."""

from __future__ import annotations

from PIL import Image, ImageDraw

from libero_bridge.scenes import surfaces
from libero_bridge.scenes.arenas.plain import PALE_WOOD
from libero_bridge.scenes.arenas.room import SQUARE_WALLS, facing, light, picture, room, table_with_legs
from libero_bridge.scenes.builder import Body, Model
from libero_bridge.scenes.fixtures.parts import board
from libero_bridge.scenes.meshes import lathe

OLIVE = (88, 84, 63)
GREY = (98, 102, 102)
FRONT_X = -1.345
COUNTER = 0.90


def kitchen() -> Model:
    """libero_10 and libero_90's kitchen scenes: a table of 1.0 x 1.2 m, 0.9 m high."""
    model = room("kitchen_arena", SQUARE_WALLS, shine=0.3)
    wood = model.material("kitchen_table_wood", texture=surfaces.wood(PALE_WOOD, contrast=5, size=256, seed=1))
    table_with_legs(model, wood, wood)
    world = model.world()
    _unit(model, world)
    _pots(world)
    fridge = model.material("fridge_door", texture=_fridge())
    world.visual(board(0.21, 0.43, 0.885), (0.55, 0.56, 0.57), (-1.75, -2.4, 0.885))
    world.visual(picture(0.43, 0.885), fridge, (-1.535, -2.4, 0.885), facing(0))
    light(world, "light_kitchen", (-1.75, 0, 1.6), (0, 0, -1), specular=0.8, directional=True)
    return model


def _unit(model: Model, world: Body) -> None:
    """Base cabinets under a marble counter, a tiled wall, hanging cabinets and a hood."""
    base = model.material("kitchen_base", texture=_doors(columns=8, drawers=True))
    hanging = model.material("kitchen_hanging", texture=_doors(columns=8, drawers=False))
    counter = model.material("kitchen_counter", texture=surfaces.marble((24, 24, 26), (130, 130, 132), seed=9))
    tiles = model.material("kitchen_tiles", texture=surfaces.tiles((70, 70, 68), (96, 96, 94), 8, contrast=4))
    world.visual(picture(1.80, 0.43), base, (FRONT_X, 0, 0.43), facing(0))
    world.visual(board(0.305, 1.80, 0.02, tile=0.8), counter, (-1.65, 0, COUNTER - 0.02))
    world.visual(picture(1.80, 0.35), tiles, (-1.945, 0, 1.25), facing(0))
    world.visual(board(0.15, 1.80, 0.45), tuple(value / 255 for value in OLIVE), (-1.80, 0, 2.05))
    world.visual(picture(1.80, 0.45), hanging, (-1.645, 0, 2.05), facing(0))
    world.visual(board(0.22, 0.40, 0.06), (0.35, 0.36, 0.37), (-1.72, 0, 1.62))
    for y in (-1.80, 1.80):
        world.visual(board(0.30, 0.01, 0.43), tuple(value / 255 for value in OLIVE), (-1.65, y, 0.43))


def _pots(world: Body) -> None:
    world.visual(board(0.285, 0.40, 0.008), (0.05, 0.05, 0.06), (-1.65, 0, COUNTER + 0.008))
    for x in (-1.78, -1.52):
        for y in (-0.22, 0.22):
            world.visual(lathe([(0.10, 0), (0.10, 0.012), (0, 0.012)], 16), (0.22, 0.22, 0.23), (x, y, COUNTER + 0.014))
    pot = lathe([(0.0, 0.0), (0.10, 0.0), (0.105, 0.12), (0.02, 0.135), (0, 0.14)], 16)
    world.visual(pot, (0.4, 0.4, 0.41), (-1.52, 0.22, COUNTER + 0.026))
    kettle = lathe([(0.0, 0.0), (0.09, 0.0), (0.08, 0.10), (0.03, 0.17), (0, 0.18)], 16)
    for y, color in ((-1.06, (0.35, 0.12, 0.10)), (-0.72, (0.55, 0.55, 0.56))):
        world.visual(kettle, color, (-1.83, y, COUNTER))


def _doors(columns: int, drawers: bool) -> Image.Image:
    """A row of cabinet doors with grey handles; with `drawers`, a row of drawers above them."""
    width, height = 512, 128
    image = Image.new("RGB", (width, height), (30, 29, 24))
    draw = ImageDraw.Draw(image)
    step = width // columns
    split = height // 4 if drawers else 0
    for column in range(columns):
        left, right = column * step + 2, (column + 1) * step - 3
        draw.rectangle((left, split + 2, right, height - 3), fill=OLIVE)
        handle = right - 7 if column % 2 == 0 else left + 5
        draw.rectangle((handle, split + 12, handle + 2, split + 36), fill=GREY)
        if drawers:
            draw.rectangle((left, 3, right, split - 2), fill=OLIVE)
            draw.rectangle((left + 20, split // 2, right - 20, split // 2 + 2), fill=GREY)
    return image


def _fridge() -> Image.Image:
    image = surfaces.wood((158, 160, 162), contrast=4, size=128, seed=12).rotate(90)
    draw = ImageDraw.Draw(image)
    draw.line((0, 44, 128, 44), fill=(70, 70, 72), width=2)
    for top, bottom in ((18, 40), (50, 84)):
        draw.rectangle((110, top, 114, bottom), fill=(90, 92, 94))
    return image

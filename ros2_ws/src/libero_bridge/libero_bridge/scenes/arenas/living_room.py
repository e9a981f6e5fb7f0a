"""The living room: a low oval table that the robot stands on, a wall unit and a picture."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from libero_bridge.scenes import surfaces
from libero_bridge.scenes.arenas.room import facing, picture, room
from libero_bridge.scenes.builder import GENTLE, Body, Model, box
from libero_bridge.scenes.fixtures.parts import board
from libero_bridge.scenes.meshes import extrude, lathe

TOP = 0.4367  # of the table, m
CREAM = (230, 224, 214)
TERRACOTTA = (168, 80, 50)


def living_room() -> Model:
    """libero_10 and libero_90's living room scenes."""
    model = room("living_room_arena", floor_body=True, shine=0.2)
    _table(model, model.world().body("living_room_table"))
    unit = model.material("wall_unit", texture=_wall_unit())
    world = model.world()
    world.visual(board(0.19, 1.165, 0.80), tuple(value / 255 for value in CREAM), (-1.72, -0.01, 0.80))
    world.visual(picture(1.165, 0.80), unit, (-1.525, -0.01, 0.80), facing(0))
    painting = model.material("wall_picture", texture=_painting())
    world.visual(picture(0.43, 0.50), painting, (-1.945, 0.58, 1.46), facing(0), name="wall_decoration")
    return model


def _table(model: Model, table: Body) -> None:
    """An oval top of 1.2 x 1.8 m on a round foot; in contact, a box and a narrower one at each end.

    They must not overlap: an edge inside of the top would push aside what lands across it.
    """
    wood = model.material("walnut", texture=surfaces.wood((76, 52, 42), contrast=9, size=256, seed=11))
    main = ((0.5814, 0.6717), (-0.2427, 0.0524))
    ends = (((0.4168, 0.0883), (-0.2500, 0.8124)), ((0.4168, 0.1010), (-0.2500, -0.7203)))
    for half, centre in (main, *ends):
        table.contact(box(*half, 0.0118), (*centre, TOP - 0.0118), contact=GENTLE)
    table.contact(box(0.4116, 0.4352, 0.2050), (-0.25, 0.25, 0.2050))
    oval = [(0.598 * math.cos(a), 0.900 * math.sin(a)) for a in (i * math.pi / 18 for i in range(36))]
    # The texture's grain runs along x of the mesh; turned, it runs across the view as on LIBERO's table.
    turned = [(y, -x) for x, y in oval]
    quarter = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))
    table.visual(extrude(turned, -0.032, 0.0), wood, (-0.239, 0.0415, TOP), quarter)
    foot = lathe([(1.0, 0.0), (1.0, TOP - 0.03)], 24, scale=(0.42, 0.50))
    table.visual(foot, wood, (-0.25, 0.15, 0.0))


def _wall_unit() -> Image.Image:
    """Cream shelves around a television, with terracotta backs and a few books."""
    width, height = 256, 176
    image = Image.new("RGB", (width, height), CREAM)
    draw = ImageDraw.Draw(image)
    for left, top, right, bottom, color in [
        (8, 8, 60, 60, TERRACOTTA),
        (8, 68, 60, 120, (40, 38, 36)),
        (68, 8, 188, 40, TERRACOTTA),
        (68, 48, 188, 120, (14, 14, 15)),
        (196, 8, 248, 60, (40, 38, 36)),
        (196, 68, 248, 120, TERRACOTTA),
        (8, 128, 124, 170, (206, 198, 186)),
        (132, 128, 248, 170, (206, 198, 186)),
    ]:
        draw.rectangle((left, top, right, bottom), fill=color)
    draw.rectangle((74, 54, 182, 112), fill=(34, 38, 44))
    for index, color in enumerate([(60, 84, 110), (190, 178, 150), (120, 60, 60), (70, 90, 70)]):
        draw.rectangle((12 + 7 * index, 84, 17 + 7 * index, 120), fill=color)
        draw.rectangle((200 + 7 * index, 24 + 3 * (index % 2), 205 + 7 * index, 60), fill=color)
    draw.line((66, 149, 124, 149), fill=CREAM, width=2)
    return image


def _painting() -> Image.Image:
    image = Image.new("RGB", (96, 112), (92, 80, 118))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 95, 111), outline=(44, 38, 34), width=4)
    draw.ellipse((24, 20, 70, 66), fill=(214, 186, 120))
    draw.polygon([(4, 107), (36, 60), (60, 90), (76, 70), (91, 107)], fill=(64, 58, 92))
    return image

"""The study: a wide desk, and behind the robot a book shelf, a plant and a painting."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from libero_bridge.scenes import surfaces
from libero_bridge.scenes.arenas.room import facing, picture, room
from libero_bridge.scenes.builder import Body, Mesh, Model, box, euler
from libero_bridge.scenes.fixtures.parts import board, rod
from libero_bridge.scenes.meshes import lathe

TOP = 0.8851  # of the desk, m
WHITE = (0.92, 0.92, 0.90)
DARK = (0.06, 0.06, 0.065)


def study() -> Model:
    """libero_10 and libero_90's study scenes."""
    model = room("study_arena")
    world = model.world()
    _desk(model, world.body("study_table"))
    painting = model.material("study_painting", texture=_painting())
    world.visual(picture(0.49, 0.49), painting, (-1.93, 0.495, 1.49), facing(0))
    _book_shelf(world)
    _plant(world)
    _lamp(world)
    return model


def _desk(model: Model, desk: Body) -> None:
    wood = model.material("desk_wood", texture=surfaces.wood((140, 98, 56), contrast=11, size=256, seed=21))
    desk.contact(box(0.6895, 1.3927, 0.0358), (0, 0, TOP - 0.0358))
    desk.visual(board(0.70, 1.40, 0.0358, tile=1.2), wood, (0, 0, TOP - 0.0358))
    for y in (-0.695, 0.712):
        for x in (-0.5005, 0.4962):
            desk.contact(box(0.0200, 0.0503, 0.3940), (x, y, 0.3943))
            desk.visual(board(0.0200, 0.0503, 0.3940), WHITE, (x, y, 0.3943))
        desk.contact(box(0.5127, 0.0503, 0.0215), (-0.0049, y, 0.0253))
        desk.visual(board(0.5127, 0.0503, 0.0215), WHITE, (-0.0049, y, 0.0253))


def _book_shelf(world: Body) -> None:
    """Open to the front: two sides, six boards, and some books."""
    x, y, half_depth, half_width, height = -1.715, -0.995, 0.157, 0.612, 1.79
    for side in (-1, 0, 1):
        world.visual(board(half_depth, 0.018, height / 2), WHITE, (x, y + side * (half_width - 0.018), height / 2))
    for level in range(6):
        world.visual(board(half_depth, half_width, 0.018), WHITE, (x, y, 0.03 + level * (height - 0.05) / 5))
    books = [(-0.50, 0.90, DARK), (-0.455, 0.90, DARK), (-0.72, 1.24, (0.30, 0.12, 0.12))]
    books += [(-0.78, 1.24, (0.14, 0.22, 0.34))]
    books += [(-1.15, 0.55, (0.2, 0.3, 0.22)), (-1.21, 0.55, (0.5, 0.4, 0.2)), (-1.30, 1.24, (0.35, 0.35, 0.38))]
    for book_y, book_z, color in books:
        world.visual(board(0.09, 0.022, 0.115), color, (-1.70, book_y, book_z + 0.115))


def _plant(world: Body) -> None:
    """A potted palm of long leaves."""
    pot = lathe([(0.0, 0.0), (0.12, 0.0), (0.16, 0.22), (0.13, 0.22), (0.0, 0.20)], 14)
    world.visual(pot, (0.78, 0.78, 0.76), (-1.80, 0.57, 0.0))
    for dx, dy, half in ((0.0, -0.03, 0.28), (0.02, 0.05, 0.20)):
        world.visual(rod(0.022, half, 8), (0.36, 0.27, 0.18), (-1.80 + dx, 0.57 + dy, 0.2 + half))
    world.visual(_leaves(14, 0.34, seed=3), (0.20, 0.36, 0.10), (-1.80, 0.54, 0.76))
    world.visual(_leaves(10, 0.26, seed=4), (0.28, 0.45, 0.14), (-1.78, 0.62, 0.60))


def _leaves(count: int, length: float, seed: int) -> Mesh:
    """Leaves that rise from one point and droop: each a folded strip, drawn from both sides."""
    rng = np.random.default_rng(seed)
    vertices, faces = [], []
    for leaf in range(count):
        azimuth = 2 * math.pi * (leaf + rng.uniform(-0.3, 0.3)) / count
        out = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
        across = np.array([-out[1], out[0], 0.0]) * 0.026
        reach, rise = length * rng.uniform(0.6, 1.0), length * rng.uniform(0.5, 1.3)
        start = len(vertices)
        for t, width in ((0.0, 0.3), (0.35, 1.0), (0.7, 0.9), (1.0, 0.05)):
            point = out * reach * t + np.array([0, 0, rise * (1.7 * t - 1.0 * t * t)])
            vertices += [point + across * width, point - across * width]
        for i in range(start, start + 6, 2):
            faces += [(i, i + 1, i + 3), (i, i + 3, i + 2), (i, i + 3, i + 1), (i, i + 2, i + 3)]
    return Mesh(np.array(vertices), np.array(faces))


def _lamp(world: Body) -> None:
    """A desk lamp at the edge of the desk, its shade hanging over it."""
    x, y = 0.30, -0.74
    world.visual(lathe([(0.10, 0.0), (0.10, 0.02), (0.0, 0.025)], 14), DARK, (x, y, TOP))
    world.visual(rod(0.012, 0.36, 8), DARK, (x, y, TOP + 0.36))
    world.visual(rod(0.010, 0.24, 8), DARK, (x, y + 0.22, TOP + 0.73), euler(x=math.pi / 2))
    world.visual(lathe([(0.12, -0.12), (0.04, 0.0), (0.0, 0.01)], 14), DARK, (x, y + 0.46, TOP + 0.73))


def _painting() -> Image.Image:
    """Coloured rectangles."""
    image = Image.new("RGB", (128, 128), (92, 122, 140))
    draw = ImageDraw.Draw(image)
    for area, color in [
        ((0, 0, 60, 72), (70, 28, 40)),
        ((46, 0, 127, 88), (222, 172, 40)),
        ((0, 60, 30, 127), (206, 62, 26)),
        ((30, 76, 74, 110), (30, 30, 34)),
        ((96, 96, 127, 127), (206, 62, 26)),
    ]:
        draw.rectangle(area, fill=color)
    return image

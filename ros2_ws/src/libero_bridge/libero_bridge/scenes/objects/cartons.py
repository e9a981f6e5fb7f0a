"""Things in cardboard: milk and orange juice cartons, butter, cream cheese, chocolate pudding and cookies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import ImageDraw

from libero_bridge.scenes.builder import YIELDING, Model, box, euler
from libero_bridge.scenes.meshes import box_mesh, extrude
from libero_bridge.scenes.objects.parts import UPRIGHT_ALONG_Y, add_contacts, between, turned, yielding
from libero_bridge.scenes.textures import Cell, Painter, atlas, word


@dataclass(frozen=True)
class Carton:
    """A flat box: half sizes and centre (m), mass (kg), LIBERO's sites; `inset` shortens its contact along x."""

    half: tuple[float, float, float]
    center: tuple[float, float, float]
    mass: float
    sites: tuple[float, float, float]
    inset: float = 0.0


BUTTER = Carton((0.0381, 0.0198, 0.0087), (0, 0, 0), 0.0103, (-0.02, 0.02, 0.02))
CREAM_CHEESE = Carton((0.0406, 0.0213, 0.0089), (0, 0, 0), 0.0124, (-0.025, 0.025, 0.03))
# Inset, since some initial states put a bowl 6 mm into the pudding.
CHOCOLATE_PUDDING = Carton((0.0401, 0.0232, 0.0137), (-0.0005, 0, 0.0006), 0.0216, (-0.06, 0.04, 0.025), inset=0.0045)
COOKIES = Carton((0.031, 0.0413, 0.0094), (0, 0, 0), 0.0191, (-0.06, 0.04, 0.025))


def butter() -> Model:
    """An orange and white packet with a yellow stick of butter."""

    def top(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        left, up, right, down = cell
        draw.rectangle((left, up, right, up + 18), fill="white")
        word(draw, (left + 3, up + 1, right - 3, up + 18), "BUTTER", (200, 50, 10))
        draw.rectangle((left + 14, up + 23, right - 14, down - 5), fill=(255, 226, 110), outline=(255, 255, 230))
        draw.line((left + 26, up + 23, left + 26, down - 5), fill=(214, 160, 40))

    return _flat("butter", BUTTER, (228, 88, 20), top)


def cream_cheese() -> Model:
    """A light blue and white packet with a blue oval."""

    def top(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        left, up, right, down = cell
        draw.rectangle((left, up, right, down), fill=(226, 234, 250))
        draw.ellipse((left + 4, up + 4, right - 4, down - 4), fill=(60, 92, 200))
        word(draw, (left + 13, up + 9, right - 13, down - 9), "CREAM\nCHEESE", "white")

    return _flat("cream_cheese", CREAM_CHEESE, (168, 192, 240), top)


def chocolate_pudding() -> Model:
    """A dark brown packet with a bowl of pudding and a pink band."""

    def top(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        left, up, right, down = cell
        word(draw, (left + 3, up + 1, right - 3, up + 16), "PUDDING", (255, 240, 224))
        draw.rectangle((left, down - 7, right, down), fill=(232, 120, 140))
        draw.pieslice((left + 12, up - 2, right - 12, down - 9), 0, 180, fill=(236, 226, 214))
        draw.ellipse((left + 13, up + 12, right - 13, up + 21), fill=(122, 66, 34))

    return _flat("chocolate_pudding", CHOCOLATE_PUDDING, (72, 36, 24), top)


def cookies() -> Model:
    """A red box with cookies on a yellow ground."""

    def top(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        left, up, right, down = cell
        word(draw, (left + 2, up + 2, right - 2, up + 16), "COOKIES", (255, 240, 170))
        draw.rectangle((left + 5, up + 18, right - 5, down - 6), fill=(246, 206, 84))
        for x, y in ((14, 28), (28, 31), (19, 44), (31, 46)):
            disc = (left + x - 7, up + y - 7, left + x + 7, up + y + 7)
            draw.ellipse(disc, fill=(190, 120, 50), outline=(120, 66, 20))
            for dx, dy in ((-3, -1), (2, -3), (1, 3)):
                draw.point((left + x + dx, up + y + dy), fill=(70, 34, 12))

    return _flat("cookies", COOKIES, (190, 30, 30), top, cell=(42, 60))


def milk() -> Model:
    """A gabled red and white carton with a cow's spots and a blue foot."""

    def side(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        left, up, right, down = cell
        draw.rectangle((left, up + 22, right, down - 13), fill=(246, 246, 242))
        word(draw, (left + 2, up + 1, right - 2, up + 21), "MILK", "white", (150, 10, 10))
        for x, y, r in ((10, 32, 6), (28, 38, 7), (15, 46, 4)):
            draw.ellipse((left + x - r, up + y - r, left + x + r, up + y + r * 0.6), fill=(30, 30, 34))
        draw.rectangle((left, down - 12, right, down), fill=(28, 60, 150))

    return _gabled("milk", (206, 40, 30), side, mass=0.0685, radius=0.03)


def orange_juice() -> Model:
    """A gabled yellow carton with half an orange."""

    def side(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        left, up, right, down = cell
        word(draw, (left + 2, up + 2, right - 2, up + 15), "ORANGE", (20, 110, 40))
        word(draw, (left + 5, up + 15, right - 5, up + 27), "JUICE", (20, 110, 40))
        draw.ellipse((left + 5, up + 28, right - 5, down - 4), fill=(240, 120, 10), outline=(255, 240, 200), width=2)
        middle = ((left + right) / 2, (up + 28 + down - 4) / 2)
        for dx, dy in ((14, 0), (-14, 0), (7, 13), (-7, 13), (7, -13), (-7, -13)):
            draw.line((*middle, middle[0] + dx, middle[1] + dy), fill=(255, 214, 130), width=1)

    return _gabled("orange_juice", (250, 196, 30), side, mass=0.0676, radius=0.025)


def _flat(
    name: str, carton: Carton, background: tuple[int, int, int], top: Painter, cell: tuple[int, int] = (64, 42)
) -> Model:
    model = Model(name)
    model.placement_sites(*carton.sites)
    body = model.object()
    x, y, z = carton.half
    body.contact(box(x - carton.inset, y, z), carton.center, mass=carton.mass, contact=YIELDING)
    look = model.material("print", texture=atlas({"+z": top, "-z": top}, background, cell))
    body.visual(box_mesh(*carton.half), look, carton.center)
    return model


def _gabled(name: str, background: tuple[int, int, int], side: Painter, mass: float, radius: float) -> Model:
    """A carton along the object's y: a square block, a roof over its x and a ridge."""
    half, bottom, eaves, ridge, top = 0.0264, -0.0698, 0.0398, 0.0585, 0.0614
    model = Model(name)
    model.placement_sites(bottom=-0.06, top=0.04, radius=radius)
    body = model.object()
    parts = [
        between((-half, -half, bottom), (half, half, eaves)),
        between((-half, -0.016, eaves), (half, 0.016, (eaves + ridge) / 2)),
        between((-half, -0.0035, (eaves + ridge) / 2), (half, 0.0035, top)),
    ]
    add_contacts(body, yielding(turned(parts, UPRIGHT_ALONG_Y)), mass)
    faces: Mapping[str, Painter] = dict.fromkeys(("+x", "-x", "+y", "-y"), side)
    look = model.material("print", texture=atlas(faces, background))
    middle = (0, (bottom + eaves) / 2, 0)
    body.visual(box_mesh(half, half, (eaves - bottom) / 2), look, middle, UPRIGHT_ALONG_Y)
    roof = model.material("roof", color=tuple(value / 255 for value in background))
    gable = extrude([(-half, eaves), (half, eaves), (0, ridge)], -half, half)
    body.visual(gable, roof, quat=euler(y=math.pi / 2))
    body.visual(box(half, (top - ridge) / 2 + 0.003, 0.003), roof, (0, (top + ridge) / 2, 0))
    return model

"""Bottles: ketchup, barbecue sauce, two salad dressings and wine."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from libero_bridge.scenes.builder import IDENTITY, ORIGIN, Model, Vector
from libero_bridge.scenes.meshes import lathe
from libero_bridge.scenes.objects.parts import (
    UPRIGHT_ALONG_Y,
    BoxPart,
    add_contacts,
    between,
    moved,
    octagon,
    turned,
    yielding,
)
from libero_bridge.scenes.textures import Cell, word, wrapped


def ketchup() -> Model:
    """A red squeeze bottle with a white cap, along the object's y."""

    def paint(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        draw.rectangle((4, 46, 59, 84), fill=(250, 250, 246), outline=(20, 110, 40), width=2)
        word(draw, (8, 48, 56, 64), "KETCHUP", (190, 10, 10))
        draw.ellipse((22, 64, 42, 82), fill=(220, 40, 30))
        draw.polygon([(26, 64), (38, 64), (32, 70)], fill=(20, 130, 40))

    image = wrapped([(0.24, (244, 244, 240)), (1.0, (196, 16, 14))], paint)
    parts = [
        between((-0.0282, -0.017, -0.0724), (0.0282, 0.017, -0.0063)),
        between((-0.024, -0.018, -0.0063), (0.024, 0.018, 0.0149)),
        between((-0.0187, -0.018, 0.0149), (0.0187, 0.018, 0.0364)),
        *octagon(0.0165, 0.0364, 0.0732),
    ]
    profile = [(0, -0.0724), (0.97, -0.0724), (1.0, -0.066), (0.98, -0.02), (0.88, 0.008), (0.66, 0.036)]
    profile += [(0.6, 0.038), (0.54, 0.0732), (0, 0.0732)]
    return _bottle("ketchup", image, parts, profile, (0.031, 0.0195), 0.0493, UPRIGHT_ALONG_Y, (0, 0, 0.0008))


def bbq_sauce() -> Model:
    """A small dark brown bottle with a flame on a yellow label, along the object's z."""

    def paint(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        draw.rectangle((-2, 46, 66, 88), fill=(236, 160, 30), outline=(60, 24, 8), width=2)
        word(draw, (8, 48, 56, 70), "BBQ", (110, 16, 0))
        draw.polygon([(18, 86), (16, 76), (24, 81), (32, 68), (40, 81), (48, 76), (46, 86)], fill=(220, 60, 10))

    image = wrapped([(0.2, (40, 24, 18)), (1.0, (104, 40, 16))], paint)
    parts = [
        between((-0.0235, -0.0145, -0.0546), (0.0235, 0.0145, -0.001)),
        between((-0.0181, -0.0143, -0.001), (0.0181, 0.0143, 0.0257)),
        *octagon(0.0138, 0.0257, 0.0525),
    ]
    profile = [(0, -0.0546), (0.98, -0.0546), (1.0, -0.05), (1.0, -0.018), (0.85, 0.006), (0.6, 0.025)]
    profile += [(0.58, 0.031), (0.58, 0.0525), (0, 0.0525)]
    return _bottle("bbq_sauce", image, parts, profile, (0.0245, 0.0165), 0.0241, sites=(-0.06, 0.06, 0.015))


def salad_dressing() -> Model:
    """A pear-shaped green-labelled bottle with a green cap, along the object's y."""
    return _dressing("salad_dressing", ORIGIN)


def new_salad_dressing() -> Model:
    """The same bottle with its origin near the foot, as LIBERO's second model has it."""
    return _dressing("new_salad_dressing", (0, 0.05, 0))


def wine_bottle() -> Model:
    """A dark green bottle with a cream label and a red capsule, along the object's z; the camera sees its -x side."""

    def paint(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        draw.rectangle((2, 58, 61, 90), fill=(236, 226, 200), outline=(150, 120, 60))
        word(draw, (8, 59, 56, 75), "WINE", (110, 10, 30))
        for x, y in ((24, 78), (32, 78), (40, 78), (28, 82), (36, 82), (32, 86)):
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(90, 20, 90))

    image = wrapped([(0.2, (130, 14, 30)), (1.0, (22, 44, 26))], paint)
    parts = [*octagon(0.0198, 0.0011, 0.066), between((-0.0118, -0.0118, 0.066), (0.0118, 0.0118, 0.088))]
    parts += octagon(0.0073, 0.088, 0.158)
    profile = [(0, 0.0011), (0.02, 0.0011), (0.0212, 0.004), (0.0212, 0.063), (0.017, 0.079), (0.009, 0.095)]
    profile += [(0.0076, 0.112), (0.0078, 0.157), (0.006, 0.1588), (0, 0.1588)]
    return _bottle("wine_bottle", image, parts, profile, (1.0, 1.0), 0.0509, front=math.pi)


def _dressing(name: str, offset: Vector) -> Model:

    def paint(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        draw.ellipse((1, 46, 62, 92), fill=(40, 150, 60), outline=(250, 250, 240), width=2)
        word(draw, (9, 52, 55, 70), "SALAD", "white")
        for x, y in ((14, 71), (25, 74), (36, 71), (28, 80)):
            draw.ellipse((x, y, x + 12, y + 8), fill=(130, 220, 80), outline=(30, 110, 40))

    image = wrapped([(0.25, (16, 112, 44)), (0.94, (222, 228, 186)), (1.0, (150, 170, 90))], paint)
    parts = [
        between((-0.0183, -0.0173, -0.0727), (0.0163, 0.0173, -0.0524)),
        between((-0.0273, -0.0173, -0.0524), (0.0254, 0.0173, -0.0099)),
        between((-0.0183, -0.0173, -0.0099), (0.0163, 0.0173, 0.0128)),
        between((-0.0125, -0.0149, 0.0128), (0.0134, 0.0149, 0.0358)),
        *octagon(0.0168, 0.0358, 0.0728),
    ]
    profile = [(0, -0.0727), (0.62, -0.0727), (0.8, -0.064), (1.0, -0.046), (0.97, -0.022), (0.78, 0.0), (0.52, 0.02)]
    profile += [(0.48, 0.034), (0.58, 0.036), (0.58, 0.0728), (0, 0.0728)]
    return _bottle(name, image, parts, profile, (0.031, 0.0215), 0.0449, UPRIGHT_ALONG_Y, offset)


def _bottle(
    name: str,
    label: Image.Image,
    parts: Sequence[BoxPart],
    profile: Sequence[tuple[float, float]],
    radii: tuple[float, float],
    mass: float,
    quat: Vector = IDENTITY,
    offset: Vector = ORIGIN,
    front: float = -math.pi / 2,
    sites: tuple[float, float, float] = (-0.06, 0.04, 0.025),
) -> Model:
    """A bottle built upright: collision parts, and a drawn profile stretched by `radii` along x and y."""
    model = Model(name)
    model.placement_sites(*sites)
    body = model.object()
    add_contacts(body, yielding(moved(turned(parts, quat), offset)), mass)
    look = model.material("label", texture=label, specular=0.5, shininess=0.5)
    body.visual(lathe(profile, segments=16, front=front, scale=radii), look, offset, quat)
    return model

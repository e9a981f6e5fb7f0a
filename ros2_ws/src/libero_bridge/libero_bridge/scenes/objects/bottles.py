"""Bottles: ketchup, barbecue sauce, two salad dressings and wine."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from libero_bridge.scenes.builder import IDENTITY, ORIGIN, Model, Vector
from libero_bridge.scenes.meshes import lathe
from libero_bridge.scenes.objects.parts import (
    UPRIGHT_ALONG_Y,
    Part,
    add_contacts,
    between,
    moved,
    octagon,
    turned,
)
from libero_bridge.scenes.textures import bands, word

LABEL = (128, 96)


def ketchup() -> Model:
    """A red squeeze bottle with a white cap, along the object's y."""
    image = bands(LABEL, [(0.24, (244, 244, 240)), (1.0, (196, 16, 14))])
    draw = ImageDraw.Draw(image)
    draw.rectangle((30, 48, 98, 82), fill=(250, 250, 246), outline=(20, 110, 40), width=2)
    word(draw, (34, 50, 94, 66), "KETCHUP", (190, 10, 10))
    draw.ellipse((55, 66, 73, 80), fill=(220, 40, 30))
    draw.polygon([(59, 66), (69, 66), (64, 71)], fill=(20, 130, 40))
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
    image = bands(LABEL, [(0.2, (40, 24, 18)), (1.0, (104, 40, 16))])
    draw = ImageDraw.Draw(image)
    for left in (32, 96, -32):
        draw.rectangle((left, 48, left + 64, 86), fill=(236, 160, 30), outline=(60, 24, 8), width=2)
    word(draw, (42, 50, 86, 70), "BBQ", (110, 16, 0))
    draw.polygon([(52, 84), (50, 76), (57, 80), (64, 70), (70, 80), (77, 76), (76, 84)], fill=(220, 60, 10))
    parts = [
        between((-0.0235, -0.0145, -0.0546), (0.0235, 0.0145, -0.001)),
        between((-0.0181, -0.0143, -0.001), (0.0181, 0.0143, 0.0257)),
        *octagon(0.0138, 0.0257, 0.0525),
    ]
    profile = [(0, -0.0546), (0.98, -0.0546), (1.0, -0.05), (1.0, -0.018), (0.85, 0.006), (0.6, 0.025)]
    profile += [(0.58, 0.031), (0.58, 0.0525), (0, 0.0525)]
    return _bottle(
        "bbq_sauce", image, parts, profile, (0.0245, 0.0165), 0.0241, sites=(-0.06, 0.06, 0.015)
    )


def salad_dressing() -> Model:
    """A pear-shaped green-labelled bottle with a green cap, along the object's y."""
    return _dressing("salad_dressing", ORIGIN)


def new_salad_dressing() -> Model:
    """The same bottle with its origin near the foot, as LIBERO's second model has it."""
    return _dressing("new_salad_dressing", (0, 0.05, 0))


def wine_bottle() -> Model:
    """A dark green bottle with a cream label and a red capsule, along the object's z; the camera sees its -x side."""
    image = bands(LABEL, [(0.2, (130, 14, 30)), (1.0, (22, 44, 26))])
    draw = ImageDraw.Draw(image)
    for left in (32, 96, -32):
        draw.rectangle((left + 3, 58, left + 61, 90), fill=(236, 226, 200), outline=(150, 120, 60))
    word(draw, (40, 59, 88, 74), "WINE", (110, 10, 30))
    for x, y in ((56, 78), (64, 78), (72, 78), (60, 82), (68, 82), (64, 86)):
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(90, 20, 90))
    parts = [*octagon(0.0198, 0.0011, 0.066), between((-0.0118, -0.0118, 0.066), (0.0118, 0.0118, 0.088))]
    parts += octagon(0.0073, 0.088, 0.158)
    profile = [(0, 0.0011), (0.02, 0.0011), (0.0212, 0.004), (0.0212, 0.063), (0.017, 0.079), (0.009, 0.095)]
    profile += [(0.0076, 0.112), (0.0078, 0.157), (0.006, 0.1588), (0, 0.1588)]
    return _bottle("wine_bottle", image, parts, profile, (1.0, 1.0), 0.0509, front=math.pi)


def _dressing(name: str, offset: Vector) -> Model:
    image = bands(LABEL, [(0.25, (16, 112, 44)), (0.46, (206, 216, 160)), (0.94, (226, 232, 190)), (1, (150, 170, 90))])
    draw = ImageDraw.Draw(image)
    draw.ellipse((26, 50, 102, 90), fill=(40, 150, 60), outline=(250, 250, 240), width=2)
    word(draw, (38, 54, 90, 68), "SALAD", "white")
    word(draw, (32, 68, 96, 78), "DRESSING", (240, 250, 160))
    for x in (52, 62, 72):
        draw.ellipse((x, 79, x + 9, 86), fill=(120, 210, 70))
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
    parts: Sequence[Part],
    profile: Sequence[tuple[float, float]],
    radii: tuple[float, float],
    mass: float,
    quat: Vector = IDENTITY,
    offset: Vector = ORIGIN,
    front: float = -math.pi / 2,
    sites: tuple[float, float, float] = (-0.06, 0.04, 0.025),
) -> Model:
    """A bottle built upright: collision parts, and a drawn profile whose radii are multiplied by `radii` along x and y."""
    model = Model(name)
    model.placement_sites(*sites)
    body = model.object()
    add_contacts(body, moved(turned(parts, quat), offset), mass)
    look = model.material("label", texture=label, specular=0.5, shininess=0.5)
    body.visual(lathe(profile, segments=16, front=front, scale=radii), look, offset, quat)
    return model

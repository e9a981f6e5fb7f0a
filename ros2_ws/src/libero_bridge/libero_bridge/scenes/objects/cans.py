"""Tins: alphabet soup and tomato sauce. They stand along the object's y; the camera of the benchmark sees the -x side."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from libero_bridge.scenes.builder import Model
from libero_bridge.scenes.meshes import lathe
from libero_bridge.scenes.objects.parts import UPRIGHT_ALONG_Y, add_contacts, moved, octagon, turned
from libero_bridge.scenes.textures import bands, word

BOTTOM, TOP = -0.0386, 0.0373
CONTACT_RADIUS, LABEL_RADIUS = 0.031, 0.0325
AXIS_Z = -0.0033
TIN = (176, 178, 184)


def alphabet_soup() -> Model:
    """A blue tin with a yellow foot and letters on it."""
    return _can("alphabet_soup", _alphabet_label(), mass=0.0537, bottom_site=-0.04)


def tomato_sauce() -> Model:
    """A red tin with a green band and a tomato."""
    return _can("tomato_sauce", _tomato_label(), mass=0.0545, bottom_site=-0.06)


def _can(name: str, label: Image.Image, mass: float, bottom_site: float) -> Model:
    model = Model(name)
    model.placement_sites(bottom=bottom_site, top=0.04, radius=0.025)
    body = model.object()
    shape = turned(octagon(CONTACT_RADIUS, BOTTOM, TOP), UPRIGHT_ALONG_Y)
    add_contacts(body, moved(shape, (0, 0, AXIS_Z)), mass)
    rim = LABEL_RADIUS - 0.002
    profile = [(0, BOTTOM), (rim, BOTTOM), (LABEL_RADIUS, BOTTOM + 0.003), (LABEL_RADIUS, TOP - 0.004)]
    profile += [(rim, TOP), (rim - 0.002, TOP), (rim - 0.002, TOP - 0.002), (0, TOP - 0.002)]
    look = model.material("label", texture=label, specular=0.4)
    body.visual(lathe(profile, segments=20, front=math.pi), look, (0, 0, AXIS_Z), UPRIGHT_ALONG_Y)
    return model


def _alphabet_label() -> Image.Image:
    image = bands((128, 64), [(0.06, TIN), (0.72, (38, 84, 190)), (0.95, (246, 190, 40)), (1.0, TIN)])
    draw = ImageDraw.Draw(image)
    for left in (0, 64):  # once on each half, so that any side tells
        word(draw, (left + 6, 5, left + 58, 30), "ABC", "white", (16, 36, 96))
        word(draw, (left + 8, 30, left + 56, 45), "SOUP", (255, 222, 90))
        for index, letter in enumerate("DOGS"):
            word(draw, (left + 5 + 14 * index, 46, left + 17 + 14 * index, 61), letter, (150, 50, 10))
    return image


def _tomato_label() -> Image.Image:
    image = bands((128, 64), [(0.06, TIN), (0.38, (204, 28, 22)), (0.6, (24, 120, 50)), (0.95, (214, 40, 30)), (1, TIN)])
    draw = ImageDraw.Draw(image)
    for left in (0, 64):
        word(draw, (left + 4, 5, left + 60, 24), "TOMATO", "white")
        word(draw, (left + 10, 25, left + 54, 38), "SAUCE", (255, 236, 150))
        draw.ellipse((left + 19, 38, left + 45, 61), fill=(240, 60, 40), outline=(120, 10, 10))
        draw.polygon([(left + 24, 39), (left + 40, 39), (left + 32, 45)], fill=(30, 150, 50))
    return image

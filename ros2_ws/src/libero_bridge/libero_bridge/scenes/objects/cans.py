"""Tins: alphabet soup and tomato sauce, along the object's y; the benchmark's camera sees the -x side."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from libero_bridge.scenes.builder import Model
from libero_bridge.scenes.meshes import lathe
from libero_bridge.scenes.objects.parts import UPRIGHT_ALONG_Y, add_contacts, moved, octagon, turned, yielding
from libero_bridge.scenes.textures import Cell, word, wrapped

BOTTOM, TOP = -0.0386, 0.0373
CONTACT_RADIUS, LABEL_RADIUS = 0.031, 0.0325
AXIS_Z = -0.0033
TIN = (176, 178, 184)


def alphabet_soup() -> Model:
    """A blue tin with a yellow foot and letters on it."""
    return _can("alphabet_soup", _alphabet_label(), mass=0.0537, bottom_site=-0.04)


def tomato_sauce() -> Model:
    """A red tin with a green band and a tomato on a pale ground."""
    return _can("tomato_sauce", _tomato_label(), mass=0.0545, bottom_site=-0.06)


def _can(name: str, label: Image.Image, mass: float, bottom_site: float) -> Model:
    model = Model(name)
    model.placement_sites(bottom=bottom_site, top=0.04, radius=0.025)
    body = model.object()
    shape = turned(octagon(CONTACT_RADIUS, BOTTOM, TOP), UPRIGHT_ALONG_Y)
    add_contacts(body, yielding(moved(shape, (0, 0, AXIS_Z))), mass)
    rim = LABEL_RADIUS - 0.002
    profile = [(0, BOTTOM), (rim, BOTTOM), (LABEL_RADIUS, BOTTOM + 0.003), (LABEL_RADIUS, TOP - 0.004)]
    profile += [(rim, TOP), (rim - 0.002, TOP), (rim - 0.002, TOP - 0.002), (0, TOP - 0.002)]
    look = model.material("label", texture=label, specular=0.4)
    body.visual(lathe(profile, segments=20, front=math.pi), look, (0, 0, AXIS_Z), UPRIGHT_ALONG_Y)
    return model


def _alphabet_label() -> Image.Image:
    def paint(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        word(draw, (4, 8, 60, 42), "ABC", "white", (16, 36, 96))
        word(draw, (7, 44, 57, 66), "SOUP", (255, 222, 90))
        for index, letter in enumerate("KZOR"):
            word(draw, (3 + 15 * index, 71, 16 + 15 * index, 90), letter, (150, 50, 10))

    return wrapped([(0.06, TIN), (0.72, (38, 84, 190)), (0.95, (246, 190, 40)), (1.0, TIN)], paint)


def _tomato_label() -> Image.Image:
    def paint(draw: ImageDraw.ImageDraw, cell: Cell) -> None:
        word(draw, (3, 8, 61, 34), "TOMATO", "white")
        word(draw, (8, 37, 56, 56), "SAUCE", (255, 236, 150))
        draw.ellipse((18, 57, 46, 90), fill=(226, 40, 26), outline=(110, 10, 10))
        draw.polygon([(24, 58), (40, 58), (32, 67)], fill=(30, 150, 50))

    return wrapped(
        [(0.06, TIN), (0.37, (204, 28, 22)), (0.6, (24, 120, 50)), (0.95, (244, 230, 196)), (1.0, TIN)], paint
    )

"""Dishes: bowls, the plate and the ramekin. Round about the object's z, standing on z near 0."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from libero_bridge.scenes.builder import Model
from libero_bridge.scenes.meshes import lathe
from libero_bridge.scenes.objects.parts import BoxPart, add_contacts, between, ring, slippery, yielding

SITES = (-0.06, 0.04, 0.025)


def akita_black_bowl() -> Model:
    """The black bowl: 0.108 m wide, 0.05 m high."""
    model = Model("akita_black_bowl", origin=(0, -0.1, 0))
    model.placement_sites(*SITES)
    body = model.object()
    wall = ring((0.0233, 0.0026), (0.0446, 0.0156), 0.004, 16) + ring((0.0428, 0.0155), (0.0526, 0.0516), 0.0026, 16)
    foot = [between((-a, -b, 0.0016), (a, b, 0.0067)) for a, b in ((0.0235, 0.0135), (0.0135, 0.0235))]
    add_contacts(body, [*foot, *slippery(wall)], mass=0.0658)
    glaze = model.material("glaze", color=(0.045, 0.045, 0.05), specular=0.7, shininess=0.6)
    outside = [(0, 0.0016), (0.026, 0.0016), (0.0295, 0.004), (0.0452, 0.015), (0.0539, 0.0521)]
    inside = [(0.0515, 0.0521), (0.0425, 0.016), (0.028, 0.0067), (0, 0.0067)]
    body.visual(lathe(outside + inside, segments=20, seamless=True), glaze)
    return model


def white_bowl() -> Model:
    """The white bowl: 0.085 m wide, 0.035 m high."""
    model = Model("white_bowl")
    model.placement_sites(*SITES)
    body = model.object()
    wall = ring((0.0165, 0.002), (0.0317, 0.0117), 0.004, 12) + ring((0.033, 0.0105), (0.0404, 0.0351), 0.002, 16)
    add_contacts(body, [between((-0.0172, -0.0165, 0.0006), (0.0172, 0.0165, 0.0062)), *slippery(wall)], mass=0.0223)
    glaze = model.material("glaze", color=(0.93, 0.93, 0.9), specular=0.5, shininess=0.6)
    outside = [(0, 0.0006), (0.0216, 0.0006), (0.033, 0.0062), (0.04, 0.0145), (0.0424, 0.0351)]
    inside = [(0.039, 0.0351), (0.036, 0.0145), (0.024, 0.0055), (0, 0.0045)]
    body.visual(lathe(outside + inside, segments=20, seamless=True), glaze)
    return model


def glazed_rim_porcelain_ramekin() -> Model:
    """A small white straight-walled dish with a brown glazed rim."""
    model = Model("glazed_rim_porcelain_ramekin")
    model.placement_sites(*SITES)
    body = model.object()
    wall = ring((0.0377, 0.0025), (0.0438, 0.0427), 0.0052, 16)
    parts = [between((-0.0315, -0.0244, 0.0007), (0.0315, 0.0244, 0.0073))]
    parts += [between((-0.0244, -0.031, 0.0015), (0.0244, 0.031, 0.0073))]
    add_contacts(body, [*parts, *slippery(wall)], mass=0.038)
    porcelain = model.material("porcelain", texture=_glazed_rim(), specular=0.5, shininess=0.6)
    profile = [(0, 0.0007), (0.039, 0.0007), (0.0415, 0.028), (0.0444, 0.0433)]
    profile += [(0.0395, 0.0433), (0.035, 0.0095), (0, 0.0075)]
    body.visual(lathe(profile, segments=20, seamless=True), porcelain)
    return model


def plate() -> Model:
    """A white plate with a red rim: 0.138 m wide, 0.0165 m high."""
    model = Model("plate")
    model.placement_sites(*SITES)
    body = model.object()
    add_contacts(body, _plate_parts(), mass=0.0305)
    china = model.material("china", texture=_red_rim(), specular=0.5, shininess=0.6)
    profile = [(0, 0.0), (0.044, 0.0), (0.0686, 0.0145), (0.0686, 0.0166), (0.058, 0.0125), (0.04, 0.0055)]
    profile += [(0, 0.0052)]
    rows = [1.0, 1.0, 0.75, 0.5, 0.25, 0.1, 0.0]
    body.visual(lathe(profile, segments=24, rows=rows, seamless=True), china)
    return model


def _plate_parts() -> Sequence[BoxPart]:
    rim = ring((0.0455, 0.0015), (0.0645, 0.0085), 0.0045, 16)
    return [between((-0.031, -0.031, 0.0), (0.031, 0.031, 0.0055)), *yielding(rim)]


def _glazed_rim() -> Image.Image:
    image = Image.new("RGB", (16, 32), (235, 232, 224))
    ImageDraw.Draw(image).rectangle((0, 0, 16, 4), fill=(150, 112, 70))
    return image


def _red_rim() -> Image.Image:
    """Rows from the middle of the upper face (top of the image) over the rim to the underside."""
    image = Image.new("RGB", (16, 64), (240, 238, 232))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 15, 16, 48), fill=(206, 32, 32))
    draw.rectangle((0, 8, 16, 9), fill=(206, 32, 32))
    return image

"""Mugs with a handle along the object's x: porcelain (white), red, and white with yellow."""

from __future__ import annotations

from collections.abc import Sequence

from libero_bridge.scenes.builder import Body, Model
from libero_bridge.scenes.meshes import lathe
from libero_bridge.scenes.objects.parts import BoxPart, add_contacts, between, moved, ring, strut, yielding

SITES = (-0.06, 0.04, 0.025)


def porcelain_mug() -> Model:
    """A white mug, 0.115 m high, bellied, the handle towards -x."""
    model = Model("porcelain_mug")
    model.placement_sites(*SITES)
    body = model.object()
    axis = (0.0153, -0.0017)
    wall = ring((0.0275, 0.006), (0.0425, 0.0418), 0.0028, 12, axis)
    wall += ring((0.0437, 0.0432), (0.0437, 0.1085), 0.0048, 12, axis)
    handle = [
        strut((-0.0265, 0, 0.0205), (-0.0587, 0, 0.0375), 0.008, 0.0038),
        strut((-0.0595, 0, 0.0363), (-0.0595, 0, 0.0758), 0.008, 0.0038),
        strut((-0.0315, 0, 0.0935), (-0.0615, 0, 0.0735), 0.008, 0.0038),
    ]
    floor = between((axis[0] - 0.021, axis[1] - 0.021, 0.0024), (axis[0] + 0.021, axis[1] + 0.021, 0.0128))
    add_contacts(body, [floor, *yielding([*wall, *handle])], mass=0.1206)
    white = model.material("porcelain", color=(0.92, 0.92, 0.93), specular=0.6, shininess=0.7)
    profile = [(0, 0.0024), (0.031, 0.0024), (0.037, 0.016), (0.046, 0.045), (0.0495, 0.075), (0.0493, 0.1135)]
    profile += [(0.0465, 0.1135), (0.046, 0.07), (0.04, 0.03), (0, 0.0128)]
    body.visual(lathe(profile, segments=20, seamless=True), white, (*axis, 0))
    _draw_handle(body, handle, white)
    return model


def red_coffee_mug() -> Model:
    """A tall red mug, 0.131 m high, the handle towards +x."""
    model = Model("red_coffee_mug")
    model.placement_sites(*SITES)
    body = model.object()
    axis = (-0.0155, -0.001)
    wall = ring((0.0307, 0.002), (0.0445, 0.1308), 0.007, 12, axis)
    handle = [
        strut((0.0135, 0.0011, 0.0255), (0.06, 0.0011, 0.0755), 0.0076, 0.0029),
        strut((0.0565, 0.0011, 0.0755), (0.0525, 0.0011, 0.1135), 0.0069, 0.0027),
        strut((0.0165, 0.0011, 0.1142), (0.0527, 0.0011, 0.109), 0.0069, 0.0027),
    ]
    floor = between((axis[0] - 0.0235, axis[1] - 0.0235, -0.0005), (axis[0] + 0.0235, axis[1] + 0.0235, 0.0078))
    add_contacts(body, [floor, *yielding([*wall, *handle])], mass=0.124)
    red = model.material("glaze", color=(0.72, 0.05, 0.06), specular=0.6, shininess=0.7)
    profile = [(0, 0.0), (0.0355, 0.0), (0.0375, 0.004), (0.0442, 0.12), (0.0472, 0.1345), (0.0445, 0.1345)]
    profile += [(0.0405, 0.118), (0.034, 0.01), (0, 0.0085)]
    body.visual(lathe(profile, segments=20, seamless=True), red, (*axis, 0))
    _draw_handle(body, handle, red)
    return model


def white_yellow_mug() -> Model:
    """A wide mug, 0.104 m high: yellow outside with a white lower half, the handle towards +x."""
    model = Model("white_yellow_mug")
    model.placement_sites(*SITES)
    body = model.object()
    axis = (-0.0179, -0.001)
    lower = ring((0.032, 0.0015), (0.0415, 0.0213), 0.007, 12, axis)
    upper = ring((0.0408, 0.0156), (0.0522, 0.1031), 0.008, 16, axis)
    handle = [
        strut((0.0155, 0, 0.0212), (0.065, 0, 0.0315), 0.0088, 0.0041),
        strut((0.0641, 0, 0.0267), (0.0641, 0, 0.0852), 0.0088, 0.0041),
        strut((0.0255, 0, 0.0772), (0.068, 0, 0.0819), 0.0088, 0.0041),
    ]
    floor = between((-0.0223, -0.0223, 0.0002), (0.0223, 0.0223, 0.0052))
    add_contacts(body, [*moved([floor], (*axis, 0)), *yielding([*lower, *upper, *handle])], mass=0.1209)
    yellow = model.material("yellow", color=(0.93, 0.75, 0.12), specular=0.6, shininess=0.7)
    white = model.material("white", color=(0.94, 0.94, 0.92), specular=0.6, shininess=0.7)
    foot = [(0, 0.0002), (0.033, 0.0002), (0.039, 0.0105), (0.0437, 0.05)]
    body.visual(lathe(foot, segments=20, seamless=True), white, (*axis, 0))
    cup = [(0.0437, 0.05), (0.0511, 0.1045), (0.0465, 0.1045), (0.035, 0.012), (0, 0.0055)]
    body.visual(lathe(cup, segments=20, seamless=True), yellow, (*axis, 0))
    _draw_handle(body, handle, yellow)
    return model


def _draw_handle(body: Body, handle: Sequence[BoxPart], look: str) -> None:
    for part in handle:
        body.visual(part.shape, look, part.pos, part.quat)

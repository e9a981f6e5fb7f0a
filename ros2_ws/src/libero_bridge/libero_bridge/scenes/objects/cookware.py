"""The frying pan and the moka pot."""

from __future__ import annotations

from libero_bridge.scenes.builder import Model, box, cylinder
from libero_bridge.scenes.meshes import lathe
from libero_bridge.scenes.objects.parts import BoxPart, add_contacts, between, octagon, ring, strut

SITES = (-0.06, 0.04, 0.025)


def chefmate_8_frypan() -> Model:
    """A dark frying pan, 0.2 m wide and 0.042 m high, the handle towards +x and rising."""
    model = Model("chefmate_8_frypan")
    model.placement_sites(*SITES)
    body = model.object()
    axis = (0.0073, 0.0)
    wall = ring((0.0795, 0.002), (0.1035, 0.0424), 0.0072, 16, axis)
    floor = [between((-0.0549, -0.0549, 0.0008), (0.0549, 0.0549, 0.0127))]
    floor += [between((axis[0] - 0.07, -0.045, 0.003), (axis[0] + 0.07, 0.045, 0.0119))]
    floor += [between((axis[0] - 0.045, -0.07, 0.003), (axis[0] + 0.045, 0.07, 0.0119))]
    handle = [
        strut((0.1, 0, 0.0195), (0.135, 0, 0.034), 0.0105, 0.006),
        strut((0.1267, 0, 0.0356), (0.2585, 0, 0.0527), 0.0127, 0.0062),
    ]
    add_contacts(body, [*floor, *wall, *handle], mass=0.2032)
    iron = model.material("iron", color=(0.2, 0.2, 0.21), specular=0.6, shininess=0.4)
    coating = model.material("coating", color=(0.06, 0.06, 0.065), specular=0.3)
    grip = model.material("grip", color=(0.03, 0.03, 0.03), specular=0.2)
    outside = [(0, 0.0008), (0.077, 0.0008), (0.084, 0.006), (0.1015, 0.0405), (0.097, 0.0405)]
    body.visual(lathe(outside, segments=24, seamless=True), iron, (*axis, 0))
    body.visual(lathe([(0.097, 0.0405), (0.079, 0.013), (0, 0.0127)], segments=24, seamless=True), coating, (*axis, 0))
    body.visual(handle[0].shape, iron, handle[0].pos, handle[0].quat)
    body.visual(handle[1].shape, grip, handle[1].pos, handle[1].quat)
    return model


def moka_pot() -> Model:
    """A faceted aluminium coffee maker with a black handle (+y), a spout (-y) and a black knob."""
    model = Model("moka_pot")
    model.placement_sites(*SITES)
    body = model.object()
    handle = [
        between((-0.0066, 0.036, 0.0525), (0.0066, 0.085, 0.0675)),
        BoxPart(box(0.0066, 0.0071, 0.0275), (0, 0.0735, 0.0282), (0.9727, -0.2322, 0, 0)),
        between((-0.0066, 0.053, -0.006), (0.0066, 0.067, 0.009)),
    ]
    spout = [
        between((-0.0176, -0.0417, 0.0181), (0.0176, -0.0301, 0.0671)),
        between((-0.008, -0.0563, 0.0324), (0.008, -0.0417, 0.0599)),
    ]
    knob = between((-0.0055, -0.0055, 0.067), (0.0055, 0.0055, 0.0857))
    add_contacts(body, [*octagon(0.0335, -0.0661, 0.067), *spout, knob, *handle], mass=0.1311)
    metal = model.material("aluminium", color=(0.7, 0.71, 0.73), specular=0.9, shininess=0.8)
    black = model.material("black", color=(0.05, 0.05, 0.05), specular=0.4)
    profile = [(0, -0.0661), (0.0395, -0.0661), (0.034, -0.022), (0.031, -0.008), (0.0365, 0.008)]
    profile += [(0.033, 0.03), (0.0395, 0.06), (0.036, 0.0635), (0, 0.0715)]
    body.visual(lathe(profile, segments=8), metal)
    body.visual(box(0.009, 0.012, 0.006), metal, (0, -0.046, 0.0555), (0.9239, 0.3827, 0, 0))
    body.visual(cylinder(0.0062, 0.0075), black, (0, 0, 0.0782))
    for part in handle[:2]:
        body.visual(part.shape, black, part.pos, part.quat)
    return model

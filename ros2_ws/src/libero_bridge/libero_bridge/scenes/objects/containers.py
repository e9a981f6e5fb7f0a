"""Things to put things in: the basket and the wooden tray, each with LIBERO's contain region."""

from __future__ import annotations

import math

from libero_bridge.scenes.builder import Model, box, euler
from libero_bridge.scenes.meshes import box_mesh
from libero_bridge.scenes.objects.parts import BoxPart, add_contacts, between
from libero_bridge.scenes.textures import grain, weave

SITES = (-0.06, 0.04, 0.025)


def basket() -> Model:
    """A square woven basket, 0.16 m wide and 0.14 m high, walls a little splayed."""
    model = Model("basket")
    model.placement_sites(*SITES)
    body = model.object()
    floor = between((-0.0741, -0.0724, 0.0044), (0.0791, 0.0724, 0.0216))
    walls = [
        BoxPart(box(0.0067, 0.0724, 0.0637), (-0.0727, 0, 0.0766), euler(y=-0.0755)),
        BoxPart(box(0.0067, 0.0724, 0.0637), (0.0756, 0, 0.0766), euler(y=0.05)),
        BoxPart(box(0.0724, 0.0067, 0.0637), (0.0003, -0.0685, 0.0818), euler(x=0.045)),
        BoxPart(box(0.0724, 0.0067, 0.0637), (0, 0.0691, 0.0818), euler(x=-0.045)),
    ]
    add_contacts(body, [floor, *walls], mass=0.6532)
    body.site("contain_region", (0, 0, 0.07185), euler(z=math.pi), box(0.06108, 0.06108, 0.06949))
    straw = model.material("straw", texture=weave((208, 164, 98), (112, 74, 36)), specular=0.05)
    for part in (floor, *walls):
        body.visual(box_mesh(*part.shape.size), straw, part.pos, part.quat)
    return model


def wooden_tray() -> Model:
    """A wooden tray, 0.3 m by 0.16 m, with corner posts and a bar to hold it by at each end."""
    model = Model("wooden_tray")
    model.placement_sites(*SITES)
    body = model.object()
    floor = between((-0.1362, -0.0842, -0.0005), (0.1518, 0.0736, 0.008))
    ends = [between((-0.1416, -0.0833, 0.0053), (-0.1369, 0.0724, 0.0545))]
    ends += [between((0.1509, -0.0833, 0.0053), (0.1555, 0.0724, 0.0545))]
    sides = [between((-0.1362, -0.0868, 0.0038), (0.1518, -0.0822, 0.0627))]
    sides += [between((-0.1362, 0.0735, 0.0027), (0.1518, 0.0781, 0.0596))]
    posts = [
        between((x - 0.0062, y - 0.0055, 0.0017), (x + 0.0062, y + 0.0055, 0.08))
        for x, y in ((-0.1321, 0.0681), (-0.1321, -0.0785), (0.1453, -0.0785), (0.1453, 0.0689))
    ]
    bars = [between((x - 0.0067, -0.0835, 0.0785), (x + 0.0067, 0.0737, 0.0809)) for x in (-0.1335, 0.1471)]
    parts = [floor, *ends, *sides, *posts, *bars]
    add_contacts(body, parts, mass=0.5154)
    region = box(0.04038, 0.07839, 0.13549)
    body.site("contain_region", (0.00863, -0.00471, 0.04255), euler(y=math.pi / 2), region)
    wood = model.material("wood", texture=grain((168, 112, 60), seed=3), specular=0.1)
    for part in (floor, *ends, *sides, *bars):
        body.visual(box_mesh(*part.shape.size), wood, part.pos)
    dark = model.material("posts", color=(0.5, 0.32, 0.16), specular=0.1)
    for part in posts:
        body.visual(part.shape, dark, part.pos)
    return model

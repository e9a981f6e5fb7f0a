"""Parts of movable objects: rigid collision boxes that share an object's mass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from libero_bridge.scenes.builder import (
    IDENTITY,
    ORIGIN,
    SLIPPERY,
    STIFF,
    YIELDING,
    Body,
    Contact,
    Shape,
    Vector,
    box,
    compose,
    euler,
    rotate,
)

# Turns a thing built upright along z so that it stands along the object's y, its front (-y) towards the object's +z.
UPRIGHT_ALONG_Y = euler(x=-math.pi / 2)


@dataclass(frozen=True)
class BoxPart:
    """One box of an object's collision geometry, in the object's frame.

    `share` is the part of its volume that counts for the mass: less than 1 where parts overlap.
    """

    shape: Shape
    pos: Vector = ORIGIN
    quat: Vector = IDENTITY
    share: float = 1.0
    contact: Contact = STIFF


def between(low: Vector, high: Vector) -> BoxPart:
    """An axis-aligned box by two opposite corners."""
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    return BoxPart(box(*((high - low) / 2)), tuple((low + high) / 2))


def octagon(radius: float, low: float, high: float, center: tuple[float, float] = (0.0, 0.0)) -> list[BoxPart]:
    """An upright octagonal prism out of four crossed boxes, with flat sides at `radius` from its axis.

    Only two of the boxes reach the ends: a resting prism then has eight contact points, not sixteen.
    """
    parts = []
    for turn in range(4):
        inset = 0.001 * (turn % 2)
        shape = box(radius, radius * math.tan(math.pi / 8), (high - low) / 2 - inset)
        parts.append(BoxPart(shape, (*center, (low + high) / 2), euler(z=turn * math.pi / 4), share=0.5))
    return parts


def ring(
    bottom: tuple[float, float],
    top: tuple[float, float],
    thickness: float,
    count: int,
    center: tuple[float, float] = (0.0, 0.0),
) -> list[BoxPart]:
    """A round wall out of `count` slanted boxes.

    Args:
        bottom: outer (radius, z) of the lower edge in m.
        top: outer (radius, z) of the upper edge.
        thickness: of the wall, inwards.
        count: boxes around; one of them faces +x.
        center: (x, y) of the axis.
    """
    (low_radius, low), (high_radius, high) = bottom, top
    tilt = math.atan2(high_radius - low_radius, high - low)
    slant = math.hypot(high_radius - low_radius, high - low)
    middle = (low_radius + high_radius) / 2 - thickness / 2 * math.cos(tilt)
    height = (low + high) / 2 + thickness / 2 * math.sin(tilt)
    half_width = max(low_radius, high_radius) * math.tan(math.pi / count)
    parts = []
    for angle in np.arange(count) * 2 * math.pi / count:
        pos = (center[0] + middle * math.cos(angle), center[1] + middle * math.sin(angle), height)
        parts.append(BoxPart(box(thickness / 2, half_width, slant / 2), pos, euler(y=tilt, z=angle)))
    return parts


def strut(start: Vector, end: Vector, half_width: float, half_depth: float) -> BoxPart:
    """A bar in a plane of constant y, from `start` to `end`; half width along y, half depth across."""
    start, end = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    along = end - start
    tilt = math.atan2(along[0], along[2])
    return BoxPart(
        box(half_depth, half_width, float(np.linalg.norm(along)) / 2), tuple((start + end) / 2), euler(y=tilt)
    )


def turned(parts: Iterable[BoxPart], quat: Vector) -> list[BoxPart]:
    """The same parts, turned about the object's origin."""
    return [replace(part, pos=rotate(quat, part.pos), quat=compose(quat, part.quat)) for part in parts]


def moved(parts: Iterable[BoxPart], offset: Vector) -> list[BoxPart]:
    """The same parts, shifted."""
    return [replace(part, pos=tuple(np.add(part.pos, offset))) for part in parts]


def yielding(parts: Iterable[BoxPart]) -> list[BoxPart]:
    """The same parts with the contact of groceries, see `YIELDING`."""
    return [replace(part, contact=YIELDING) for part in parts]


def slippery(parts: Iterable[BoxPart]) -> list[BoxPart]:
    """The same parts with little friction, see `SLIPPERY`."""
    return [replace(part, contact=SLIPPERY) for part in parts]


def add_contacts(body: Body, parts: Sequence[BoxPart], mass: float) -> None:
    """Adds the parts as colliding geoms whose masses (in proportion to volume) add up to `mass` kg."""
    volumes = np.array([np.prod(part.shape.size) * part.share for part in parts])
    for part, share in zip(parts, volumes / volumes.sum(), strict=True):
        body.contact(part.shape, part.pos, part.quat, mass=mass * float(share), contact=part.contact)

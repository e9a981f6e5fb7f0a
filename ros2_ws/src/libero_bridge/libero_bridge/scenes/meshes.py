"""Small generated meshes with texture coordinates: boxes with an atlas, surfaces of revolution, extrusions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from libero_bridge.scenes.builder import Mesh

# Where each face of a box lies in its atlas texture: three columns by two rows, (column, row).
BOX_ATLAS = {"+z": (0, 0), "-z": (1, 0), "+x": (2, 0), "-x": (0, 1), "+y": (1, 1), "-y": (2, 1)}
# For each face: outward axis, sign, the axis and sign that run right and the ones that run down, seen from outside.
_BOX_FACES = {
    "+z": ((2, 1), (0, 1), (1, -1)),
    "-z": ((2, -1), (0, -1), (1, -1)),
    "+x": ((0, 1), (1, 1), (2, -1)),
    "-x": ((0, -1), (1, -1), (2, -1)),
    "+y": ((1, 1), (0, -1), (2, -1)),
    "-y": ((1, -1), (0, 1), (2, -1)),
}


def box_mesh(x: float, y: float, z: float) -> Mesh:
    """A box by its half sizes, each face showing its own cell of an atlas laid out as `BOX_ATLAS` (12 triangles)."""
    half = np.array([x, y, z])
    vertices, texcoords, faces = [], [], []
    for name, (out, right, down) in _BOX_FACES.items():
        column, row = BOX_ATLAS[name]
        start = len(vertices)
        for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
            corner = np.zeros(3)
            corner[out[0]] = out[1]
            corner[right[0]] = right[1] * (2 * u - 1)
            corner[down[0]] = down[1] * (2 * v - 1)
            vertices.append(corner * half)
            texcoords.append(((column + 0.02 + 0.96 * u) / 3, (row + 0.02 + 0.96 * v) / 2))
        faces += [(start, start + 3, start + 2), (start, start + 2, start + 1)]
    return Mesh(np.array(vertices), np.array(faces), np.array(texcoords))


def lathe(
    profile: Sequence[tuple[float, float]],
    segments: int = 16,
    front: float = -math.pi / 2,
    rows: Sequence[float] | None = None,
    scale: tuple[float, float] = (1.0, 1.0),
    seamless: bool = False,
) -> Mesh:
    """A surface of revolution about z.

    Args:
        profile: (radius, z) points in m from the bottom up along the outside (and on down the inside for a bowl): the
            surface faces to the right of the direction of travel, seen in the (radius, z) half plane.
        segments: facets around.
        front: angle about z (rad, 0 at +x) of the middle of the texture, which runs once around from there both ways.
        rows: texture v of each profile point (0 top, 1 bottom); by default its height between lowest and highest z.
        scale: stretch of the circle along x and y, for oval bottles.
        seamless: shade smoothly across the texture's ends, for looks that are the same all around.
    """
    heights = np.array([z for _, z in profile])
    if rows is None:
        rows = 1.0 - (heights - heights.min()) / max(float(np.ptp(heights)), 1e-9)
    columns = segments if seamless else segments + 1
    turns = np.arange(columns) / segments
    angles = front - math.pi + 2 * math.pi * turns
    vertices = [(r * math.cos(a) * scale[0], r * math.sin(a) * scale[1], z) for r, z in profile for a in angles]
    texcoords = [(turn, v) for v in rows for turn in turns]
    faces = []
    for level in range(len(profile) - 1):
        low, high = level * columns, (level + 1) * columns
        for i in range(segments):
            j = (i + 1) % columns
            if profile[level][0] > 0:
                faces.append((low + i, low + j, high + j))
            if profile[level + 1][0] > 0:
                faces.append((low + i, high + j, high + i))
    return Mesh(np.array(vertices), np.array(faces), np.array(texcoords))


def extrude(outline: Sequence[tuple[float, float]], low: float, high: float) -> Mesh:
    """A convex outline (x, y), counter-clockwise, pulled from z = low to high, with flat sides.

    The texture fills the outline's bounding box on both ends and once each side.
    """
    points = np.array(outline, dtype=float)
    count = len(points)
    flat = (points - points.min(axis=0)) / np.maximum(np.ptp(points, axis=0), 1e-9)
    flat[:, 1] = 1.0 - flat[:, 1]
    vertices = [(x, y, z) for z in (low, high) for x, y in points]
    texcoords = [*map(tuple, flat), *map(tuple, flat)]
    faces = [(0, i + 1, i) for i in range(1, count - 1)]
    faces += [(count, count + i, count + i + 1) for i in range(1, count - 1)]
    for i in range(count):
        (x0, y0), (x1, y1) = points[i], points[(i + 1) % count]
        start = len(vertices)
        vertices += [(x0, y0, low), (x1, y1, low), (x1, y1, high), (x0, y0, high)]
        texcoords += [(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
        faces += [(start, start + 1, start + 2), (start, start + 2, start + 3)]
    return Mesh(np.array(vertices), np.array(faces), np.array(texcoords))

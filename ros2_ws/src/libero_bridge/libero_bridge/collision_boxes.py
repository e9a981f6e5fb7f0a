"""Axis-aligned boxes of collision geometry in a body's own frame."""

from __future__ import annotations

import mujoco
import numpy as np


def collision_box(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest corner, (3,) m each, of what is rigidly attached to ``body`` and can collide.

    Both are zero where nothing can. ``data`` must hold computed kinematics.
    """
    rotation, origin = data.xmat[body].reshape(3, 3), data.xpos[body]
    corners = []
    for geom in _rigid_collision_geoms(model, body):
        centre = rotation.T @ (data.geom_xpos[geom] - origin)
        relative = rotation.T @ data.geom_xmat[geom].reshape(3, 3)
        low, high = _geom_extent(model, geom, relative)
        corners.append((centre + low, centre + high))
    if not corners:
        return np.zeros(3), np.zeros(3)
    lows, highs = zip(*corners, strict=True)
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _rigid_collision_geoms(model: mujoco.MjModel, body: int) -> list[int]:
    geoms = []
    for candidate in range(body, model.nbody):
        if _rigidly_attached(model, candidate, body):
            first = model.body_geomadr[candidate]
            geoms += [g for g in range(first, first + model.body_geomnum[candidate]) if _collides(model, g)]
    return geoms


def _rigidly_attached(model: mujoco.MjModel, candidate: int, body: int) -> bool:
    while candidate != body:
        if candidate == 0 or model.body_jntnum[candidate] > 0:
            return False
        candidate = model.body_parentid[candidate]
    return True


def _collides(model: mujoco.MjModel, geom: int) -> bool:
    return bool(model.geom_contype[geom] or model.geom_conaffinity[geom])


def _geom_extent(model: mujoco.MjModel, geom: int, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners around the geom's own origin, after ``rotation`` (3, 3) from the geom's frame."""
    size = model.geom_size[geom]
    kind = model.geom_type[geom]
    axis = np.abs(rotation[:, 2])
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        first = model.mesh_vertadr[mesh]
        vertices = model.mesh_vert[first : first + model.mesh_vertnum[mesh]] @ rotation.T
        return vertices.min(axis=0), vertices.max(axis=0)
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        half = np.full(3, size[0])
    elif kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        half = size[0] + axis * size[1]
    elif kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        half = axis * size[1] + size[0] * np.sqrt(np.clip(1 - axis**2, 0, 1))
    elif kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
        half = np.sqrt((rotation**2) @ size**2)
    else:
        half = np.abs(rotation) @ size
    return -half, half

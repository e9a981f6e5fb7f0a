"""Light visuals for the robot: robosuite draws the Panda, its hand and its mount with 168,000 triangles.

The meshes of robosuite's own robot are thinned out on this machine, on first use, and kept in the user's cache. Only
what is drawn changes: bodies, joints, inertias, collision geometry and all names stay as they are.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import mujoco
import numpy as np

from substep_core.user_cache import user_cache

PREFIXES = ("robot0_", "gripper0_", "mount0_")
# Faces kept of a mesh: a share of what it has, within bounds; meshes below the lower bound stay as they are.
SHARE, FEWEST, MOST = 0.08, 300, 4000
# How fast the collapse lets its error bound grow: above 3, the hand and the mount lose their shape.
AGGRESSIVENESS = 3
WELD_DISTANCE = 1e-5  # m

Triangles = tuple[np.ndarray, np.ndarray]


def lighten(xml: str) -> str:
    """Replaces the robot's drawn meshes in a robosuite model.

    Args:
        xml: MJCF of the whole model, mesh files given as absolute paths.

    Returns:
        The same model with light meshes written into it.

    Raises:
        ValueError: no mesh of the robot was found, so that the names in `PREFIXES` no longer fit.
    """
    root = ET.fromstring(xml)
    colliding = {geom.get("mesh") for geom in root.iter("geom") if geom.get("group", "0") == "0"}
    meshes = {
        mesh.get("name"): mesh
        for mesh in root.iter("mesh")
        if mesh.get("file") and mesh.get("name", "").startswith(PREFIXES) and mesh.get("name") not in colliding
    }
    if not meshes:
        raise ValueError(f"the model has no drawn mesh whose name starts with one of {', '.join(PREFIXES)}")
    for name, (vertices, faces) in _light_meshes({name: mesh.get("file") for name, mesh in meshes.items()}).items():
        mesh = meshes[name]
        for attribute in ("file", "scale"):
            mesh.attrib.pop(attribute, None)
        mesh.set("inertia", "shell")
        mesh.set("vertex", " ".join(f"{value:.5g}" for value in vertices.ravel()))
        mesh.set("face", " ".join(map(str, faces.ravel())))
    return ET.tostring(root, encoding="unicode")


def thin(vertices: np.ndarray, faces: np.ndarray) -> Triangles:
    """Quadric edge collapse (Garland and Heckbert, 1997) of a mesh of (n, 3) vertices (m) and (m, 3) faces."""
    import fast_simplification

    vertices, faces = _weld(vertices, faces)
    target = min(max(round(SHARE * len(faces)), FEWEST), MOST)
    if target >= len(faces):
        return vertices, faces
    points, triangles = np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32)
    return fast_simplification.simplify(points, triangles, target_count=target, agg=AGGRESSIVENESS)


def _weld(vertices: np.ndarray, faces: np.ndarray) -> Triangles:
    """Makes one of vertices in the same place, which mesh files repeat for every face, and drops what collapses."""
    _, first, group = np.unique(np.round(vertices / WELD_DISTANCE), axis=0, return_index=True, return_inverse=True)
    faces = group.ravel()[faces]
    distinct = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return vertices[first], faces[distinct]


def _light_meshes(files: Mapping[str, str]) -> Mapping[str, Triangles]:
    """Mesh name -> light triangles, from the cache or made now."""
    cache = user_cache() / f"panda-{_key(files)}.npz"
    if not cache.is_file():
        _write(cache, {name: thin(*mesh) for name, mesh in _read(files).items()})
    with np.load(cache) as stored:
        return {name: (stored[f"{name}.vertices"], stored[f"{name}.faces"]) for name in files}


def _read(files: Mapping[str, str]) -> Mapping[str, Triangles]:
    """Loads mesh files through MuJoCo, and moves each mesh back from its centre, where MuJoCo puts it."""
    root = ET.Element("mujoco")
    asset = ET.SubElement(root, "asset")
    for name, file in files.items():
        ET.SubElement(asset, "mesh", name=name, file=file, inertia="shell")
    model = mujoco.MjModel.from_xml_string(ET.tostring(root, encoding="unicode"))
    meshes = {}
    for name in files:
        mesh = model.mesh(name)
        first, count = int(mesh.vertadr[0]), int(mesh.vertnum[0])
        first_face, face_count = int(mesh.faceadr[0]), int(mesh.facenum[0])
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, model.mesh_quat[mesh.id])
        vertices = model.mesh_vert[first : first + count] @ rotation.reshape(3, 3).T + model.mesh_pos[mesh.id]
        meshes[name] = (vertices, model.mesh_face[first_face : first_face + face_count])
    return meshes


def _write(file: Path, meshes: Mapping[str, Triangles]) -> None:
    """Writes the cache in one stroke, since several processes may do so at once."""
    arrays = {}
    for name, (vertices, faces) in meshes.items():
        arrays[f"{name}.vertices"], arrays[f"{name}.faces"] = vertices, faces
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".npz", delete=False) as stream:
        np.savez(stream, **arrays)
    os.replace(stream.name, file)


def _key(files: Mapping[str, str]) -> str:
    """Changes with the mesh files and with this module."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name, file in sorted(files.items()):
        digest.update(f"{name} {file} {Path(file).stat().st_size}\n".encode())
    return digest.hexdigest()[:12]

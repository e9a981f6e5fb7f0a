"""The scene as boxes that the hand must not hit, with the hollows of drawers, baskets and the like left free.

Interiors that no region of LIBERO describes are measured off its models, in the object's own frame, m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from substep_core.scene import SceneObject, SceneState
from substep_demonstrator.boxes import Box, body_box, box_from_corners, joint_box, region_box, walls
from substep_demonstrator.frames import pose_of

_OPEN_ON_TOP = {"basket": "contain_region", "wooden_tray": "contain_region"}
_SLABS: dict[str, tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]] = {
    "microwave": (
        ((-0.173, -0.088, 0.0), (-0.143, 0.111, 0.187)),
        ((0.063, -0.11, 0.0), (0.173, 0.111, 0.187)),
        ((-0.173, 0.08, 0.0), (0.173, 0.111, 0.187)),
        ((-0.173, -0.088, 0.168), (0.173, 0.111, 0.187)),
        ((-0.173, -0.088, 0.0), (0.173, 0.111, 0.024)),
    ),
    "wooden_two_layer_shelf": (
        ((-0.161, -0.079, 0.0), (-0.147, 0.112, 0.211)),
        ((0.156, -0.079, 0.0), (0.17, 0.112, 0.211)),
        ((-0.161, 0.107, 0.0), (0.17, 0.112, 0.211)),
        ((-0.161, -0.075, 0.069), (0.17, 0.112, 0.072)),
        ((-0.171, -0.079, 0.206), (0.181, 0.112, 0.211)),
    ),
    "wine_rack": (  # a plank that rises towards +y from a stopper, as steps, and the post behind it
        ((-0.134, -0.124, 0.0), (0.134, 0.129, 0.17)),
        ((-0.134, -0.085, 0.17), (0.134, 0.129, 0.226)),
        ((-0.134, -0.05, 0.226), (0.134, 0.065, 0.232)),
        ((-0.134, -0.01, 0.232), (0.134, 0.065, 0.256)),
        ((-0.134, 0.03, 0.256), (0.134, 0.065, 0.28)),
        ((-0.012, 0.03, 0.28), (0.012, 0.065, 0.328)),
    ),
    "desk_caddy": (
        ((-0.075, -0.217, 0.0), (0.075, 0.217, 0.014)),
        ((-0.071, -0.217, 0.0), (0.071, -0.203, 0.168)),
        ((-0.071, -0.074, 0.0), (0.071, -0.062, 0.168)),
        ((-0.071, 0.067, 0.0), (0.071, 0.075, 0.165)),
        ((-0.071, 0.204, 0.0), (0.071, 0.217, 0.165)),
        ((0.063, -0.21, 0.0), (0.071, 0.21, 0.168)),
        ((-0.006, -0.067, 0.0), (0.002, 0.067, 0.098)),
        ((-0.071, -0.21, 0.0), (-0.063, 0.21, 0.075)),
        ((-0.071, -0.217, 0.0), (-0.063, -0.062, 0.168)),
    ),
}  # fmt: skip
_TABLE_HALF_SIZE = np.array([2.0, 2.0, 0.1])


@dataclass(frozen=True)
class Obstacle:
    """A box and the object that it belongs to ("table" for what everything stands on)."""

    owner: str
    box: Box


def find_obstacles(scene: SceneState, without: frozenset[str] = frozenset()) -> list[Obstacle]:
    """Everything solid but the objects named in ``without`` (those in the hand or about to be)."""
    found = [Obstacle("table", Box(np.array([0, 0, table_height(scene) - 0.1]), np.eye(3), _TABLE_HALF_SIZE))]
    for thing in scene.objects.values():
        if thing.name not in without and np.any(thing.upper > thing.lower):
            found += [Obstacle(thing.name, box) for box in _solid_boxes(scene, thing)]
    for joint in scene.joints.values():
        found += [Obstacle(joint.object, box) for box in _moving_boxes(scene, joint.name)]
    return found


def table_height(scene: SceneState) -> float:
    """z of what the movable objects stand on: the lowest of their undersides."""
    return min(body_box(thing).bottom for thing in scene.objects.values() if thing.movable)


def _solid_boxes(scene: SceneState, thing: SceneObject) -> list[Box]:
    outer = body_box(thing)
    if thing.category in _OPEN_ON_TOP:
        return walls(outer, region_box(scene.regions[f"{thing.name}_{_OPEN_ON_TOP[thing.category]}"]))
    if thing.category in _SLABS:
        frame = pose_of(thing.position, thing.quaternion)
        return [box_from_corners(frame, np.array(low), np.array(high)) for low, high in _SLABS[thing.category]]
    return [outer]


def _moving_boxes(scene: SceneState, joint_name: str) -> list[Box]:
    """A drawer is open on top and holds its region; doors and knobs are solid."""
    outer = joint_box(scene.joints[joint_name])
    region = scene.regions.get(joint_name.removesuffix("level") + "region")
    return walls(outer, region_box(region)) if joint_name.endswith("_level") and region else [outer]

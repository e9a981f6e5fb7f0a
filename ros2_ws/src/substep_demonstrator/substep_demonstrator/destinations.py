"""Where "on the plate", "in the top drawer" or "to the right of the caddy" is, and whether a thing is there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np

from substep_core.language.phrases import Place, Thing
from substep_core.scene import SceneObject, SceneRegion, SceneState
from substep_demonstrator.boxes import Box, body_box, region_box
from substep_demonstrator.frames import (
    UP,
    limited,
    most_vertical_axis,
    rotation_vector,
    shortest_turn,
    turn_by,
)
from substep_demonstrator.grounding import DIRECTIONS, find_object, find_region
from substep_demonstrator.obstacles import find_obstacles, table_height

ON_OBJECT_TOLERANCE = 0.03  # LIBERO's: between the two bodies' origins, horizontally
_BESIDE_GAP = 0.03
_RIM = 0.01  # m of a vessel's outline and height that are not its inside
_LEAN = np.radians(35)  # of a bottle that is put on a slope
_INSIDE = {
    "basket": "contain_region",
    "wooden_tray": "contain_region",
    "microwave": "heating_region",
    "desk_caddy": "back_contain_region",
}
_ON_TOP = {
    "flat_stove": "cook_region",
    "wooden_cabinet": "top_side",
    "white_cabinet": "top_side",
    "wooden_two_layer_shelf": "top_side",
    "microwave": "top_side",
    "wine_rack": "top_region",
}


@dataclass(frozen=True)
class Destination:
    """A place for an object.

    Attributes:
        name: region or object as in LIBERO's predicates.
        relation: "on" or "in", LIBERO's predicate.
        owner: the object that the place belongs to.
        area: box that the object's origin has to end in.
        floor: z in m that the object's underside comes to rest on, if nothing lies there yet.
        is_object: a plain object (plate, bowl) and no region.
        upwards: (3,) unit vector that a thing's upright axis has to point along; on a slope it leans uphill.
    """

    name: str
    relation: str
    owner: str
    area: Box
    floor: float
    is_object: bool = False
    upwards: np.ndarray = field(default_factory=UP.copy)

    @property
    def is_slope(self) -> bool:
        return bool(self.upwards @ UP < 0.999)

    def holds(self, scene: SceneState, thing: SceneObject) -> bool:
        """Whether ``thing`` has arrived, by LIBERO's predicate where the task has it, else by geometry."""
        predicate = scene.predicates.get(f"{self.relation} {thing.name} {self.name}")
        return self.surrounds(scene, thing) if predicate is None else predicate

    def surrounds(self, scene: SceneState, thing: SceneObject) -> bool:
        """The same by geometry alone."""
        if self.is_object:
            owner = scene.objects[self.owner]
            offset = np.linalg.norm(thing.position[:2] - self.area.position[:2])
            vessel = body_box(owner)
            is_deep = 2 * vessel.world_half_size[2] > 2 * _RIM
            lies_in_it = is_deep and vessel.covers(thing.position[:2], -_RIM) and body_box(thing).bottom < self.floor
            return bool((offset < ON_OBJECT_TOLERANCE or lies_in_it) and thing.position[2] >= owner.position[2])
        offset = np.abs(thing.position - self.area.position)
        low_enough = body_box(thing).bottom < self.floor + 0.05
        return bool(np.all(offset[:2] <= self.area.world_half_size[:2]) and low_enough)


def find_destination(scene: SceneState, place: Place, thing: SceneObject) -> Destination:
    """The place that the words mean for ``thing``, which is never part of the place itself.

    Raises:
        ValueError: no such place in the scene; the message says what there is.
    """
    others = frozenset({thing.name})
    if part := place.thing.part:
        owner = find_object(scene, Thing(part.owner), others)
        region = f"{part.side}_region" if part.noun == "drawer" else f"{part.side}_contain_region"
        return _region(scene, find_region(scene, owner.name, region), "in")
    owner = find_object(scene, place.thing, others)
    if place.side or place.preposition == "next to":
        return _beside(scene, place.side or "right", owner, thing)
    if owner.category == "wooden_two_layer_shelf" and place.preposition != "on top of":
        level = "bottom" if place.preposition == "under" else "top"
        return _region(scene, find_region(scene, owner.name, f"{level}_region"), "in")
    if place.preposition == "under":
        raise ValueError(f"nothing fits under {owner.name}: only a cabinet shelf has room below")
    if place.preposition == "in" and owner.category in _INSIDE:
        return _region(scene, find_region(scene, owner.name, _INSIDE[owner.category]), "in")
    return _on_top(scene, owner)


def _on_top(scene: SceneState, owner: SceneObject) -> Destination:
    if owner.category == "wine_rack":
        return _on_rack(scene, owner)
    if owner.category in _ON_TOP:
        return _region(scene, find_region(scene, owner.name, _ON_TOP[owner.category]), "on")
    box = body_box(owner)
    reach = np.array([ON_OBJECT_TOLERANCE, ON_OBJECT_TOLERANCE, box.world_half_size[2]])
    hollow = min(0.01, 0.8 * box.world_half_size[2])
    area = Box(owner.position.copy(), np.eye(3), reach)
    return Destination(owner.name, "on", owner.name, area, box.top - hollow, is_object=True)


def _on_rack(scene: SceneState, rack: SceneObject) -> Destination:
    """A bottle that stands on the rack's plank falls off; one that leans uphill falls back and lies on it.

    The z axis of the rack's region runs up the plank.
    """
    place = _region(scene, find_region(scene, rack.name, _ON_TOP[rack.category]), "on")
    uphill = rotation_vector(shortest_turn(UP, place.area.rotation[:, 2]))
    return replace(place, upwards=turn_by(limited(uphill, _LEAN)) @ UP)


def _region(scene: SceneState, region: SceneRegion, relation: str) -> Destination:
    box = region_box(region)
    if relation == "in":
        floor = box.bottom
    elif region.object in scene.objects:
        solid = [obstacle.box for obstacle in find_obstacles(scene) if obstacle.owner == region.object]
        floor = max(box.top for box in solid if box.covers(region.position[:2]))
    else:
        floor = table_height(scene)
    return Destination(region.name, relation, region.object, box, floor)


def _beside(scene: SceneState, direction: str, neighbour: SceneObject, thing: SceneObject) -> Destination:
    """LIBERO's own region of that name where the scene has one, else a spot with a finger's width between the two."""
    kind = re.sub(r"_\d+$", "", neighbour.name).removeprefix("flat_").removeprefix("wooden_")
    for name, region in scene.regions.items():
        if name.endswith(f"_{kind}_{direction}_region"):
            return _region(scene, region, "on")
    along = DIRECTIONS[direction]
    reach = abs(along @ body_box(neighbour).world_half_size[:2]) + abs(along @ body_box(thing).world_half_size[:2])
    floor = table_height(scene)
    centre = np.array([*(body_box(neighbour).position[:2] + along * (reach + _BESIDE_GAP)), floor])
    area = Box(centre, np.eye(3), np.array([0.05, 0.05, 0.05]))
    return Destination(f"{direction} of {neighbour.name}", "on", neighbour.name, area, floor)


def area_axes(area: Box) -> tuple[np.ndarray, np.ndarray]:
    """The two horizontal half axes of an area: unit vectors (2, 3) and half sizes (2,) m."""
    upright, _ = most_vertical_axis(area.rotation)
    flat = [axis for axis in range(3) if axis != upright]
    directions = area.rotation[:, flat].T
    directions = directions - np.outer(directions @ UP, UP)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True), area.half_size[flat]

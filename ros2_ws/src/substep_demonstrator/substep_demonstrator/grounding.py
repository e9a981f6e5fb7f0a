"""Finds the objects, drawers and doors that a phrase means in the scene of the moment.

Directions are those of the agent view, which looks at the robot: left is −y, right +y, front +x, back −x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from substep_core.language.nouns import NOUNS, names_of
from substep_core.language.phrases import Relation, Thing
from substep_core.scene import SceneJoint, SceneObject, SceneRegion, SceneState
from substep_demonstrator.boxes import Box, body_box, region_box

DIRECTIONS = {
    "left": np.array([0.0, -1.0]),
    "right": np.array([0.0, 1.0]),
    "front": np.array([1.0, 0.0]),
    "back": np.array([-1.0, 0.0]),
}

Choose = Callable[[list[SceneObject]], SceneObject]


def find_object(scene: SceneState, thing: Thing, exclude: frozenset[str] = frozenset()) -> SceneObject:
    """The object that a phrase such as "the black bowl next to the plate", or an instance's own name, means.

    Args:
        exclude: names that cannot be meant, e.g. the object in the hand when the place is looked for.

    Raises:
        ValueError: an unknown noun or side, no such object in the scene, or several with nothing to choose by.
    """
    if thing.name in scene.objects and thing.name not in exclude:
        return scene.objects[thing.name]
    if thing.name not in NOUNS:
        raise ValueError(f"{thing.name!r} names nothing known: expected one of {', '.join(sorted(NOUNS))}")
    categories = NOUNS[thing.name].categories
    candidates = [
        candidate
        for candidate in scene.objects.values()
        if candidate.category in categories and candidate.name not in exclude
    ]
    if not candidates:
        raise ValueError(f"there is no {thing.name!r} for {thing.phrase!r} in the scene: it has {_inventory(scene)}")
    if thing.name == "cabinet":  # the shelf only where there is no cabinet: categories are in the order of preference
        category = min((candidate.category for candidate in candidates), key=categories.index)
        candidates = [candidate for candidate in candidates if candidate.category == category]
    if thing.side and thing.relation is not None and thing.relation.word == "outside":  # the left one of the others
        box = _footprint(find_object(scene, thing.relation.things[0]))
        outside = [one for one in candidates if not box.covers(_footprint(one).position[:2], margin=0.02)]
        if not outside:
            raise ValueError(f"no object fits {thing.phrase!r}: {_names(candidates)} are not outside")
        candidates, thing = outside, replace(thing, relation=None)
    for choose in _choices(scene, thing):
        candidates = [choose(candidates)]
    if len(candidates) > 1:
        names = _names(candidates)
        raise ValueError(f"{thing.phrase!r} may mean any of {names}: say which, e.g. 'the left …' or '… next to the …'")
    return candidates[0]


def find_joint(scene: SceneState, thing: Thing) -> SceneJoint:
    """The drawer, door or knob that "the top drawer of the cabinet", "the microwave" or "the stove" means.

    Raises:
        ValueError: nothing of that kind is in the scene, or the words are not understood.
    """
    owner = find_object(scene, Thing(thing.whole) if thing.part else thing)
    level = f"{thing.part.side}_level" if thing.part else ""
    found = [joint for joint in scene.joints.values() if joint.object == owner.name and joint.name.endswith(level)]
    if len(found) != 1:
        expected = ", ".join(scene.joints) or "none"
        raise ValueError(f"{thing.phrase!r} means {len(found)} moving parts, expected one of {expected}")
    return found[0]


def find_region(scene: SceneState, owner: str, suffix: str) -> SceneRegion:
    """The region ``<owner>_<suffix>``. Raises ValueError naming the regions that the object has."""
    region = scene.regions.get(f"{owner}_{suffix}")
    if region is None:
        there = [name for name, region in scene.regions.items() if region.object == owner]
        raise ValueError(f"{owner} has no {suffix.replace('_', ' ')}: its regions are {', '.join(there) or 'none'}")
    return region


def _choices(scene: SceneState, thing: Thing) -> Iterator[Choose]:
    if thing.side:
        yield _by_side(thing.side, thing.phrase)
    if thing.relation is not None:
        yield _by_relation(scene, thing.relation, thing.phrase)


def _by_relation(scene: SceneState, relation: Relation, phrase: str) -> Choose:
    if relation.word == "table center":
        return _nearest_to(_table_centre(scene))
    if not relation.things:
        return _by_side(relation.word, phrase)
    if relation.word == "in" and relation.things[0].head == "drawer":
        return _inside(_drawer_box(scene, relation.things[0]), phrase)
    others = [find_object(scene, other) for other in relation.things]
    if relation.word in ("between", "next to"):
        return _nearest_to(np.mean([_footprint(other).position for other in others], axis=0))
    return _lying(scene, relation.word, others[0], phrase)


def _by_side(side: str, phrase: str) -> Choose:
    if side != "middle" and side not in DIRECTIONS:
        raise ValueError(f"{side!r} in {phrase!r} is no side of the scene: expected middle, {', '.join(DIRECTIONS)}")

    def choose(candidates: list[SceneObject]) -> SceneObject:
        centres = np.array([_footprint(candidate).position[:2] for candidate in candidates])
        if side == "middle":
            along = int(np.argmax(np.ptp(centres, axis=0)))
            return candidates[int(np.argsort(centres[:, along])[len(candidates) // 2])]
        return candidates[int(np.argmax(centres @ DIRECTIONS[side]))]

    return choose


def _nearest_to(point: np.ndarray) -> Choose:
    def distance(candidate: SceneObject) -> float:
        return float(np.linalg.norm(_footprint(candidate).position[:2] - point[:2]))

    return lambda candidates: min(candidates, key=distance)


def _inside(box: Box, phrase: str) -> Choose:
    def choose(candidates: list[SceneObject]) -> SceneObject:
        inside = [candidate for candidate in candidates if box.contains(_footprint(candidate).position, margin=0.03)]
        if len(inside) != 1:
            raise ValueError(f"{len(inside)} objects fit {phrase!r}, expected one of {_names(candidates)} there")
        return inside[0]

    return choose


def _lying(scene: SceneState, relation: str, other: SceneObject, phrase: str) -> Choose:
    """On: above the other's footprint and higher than it. In: above its footprint. Outside: not above its footprint."""
    box = _footprint(other)

    def fits(candidate: SceneObject) -> bool:
        covered = box.covers(_footprint(candidate).position[:2], margin=0.02)
        if relation == "outside":
            return not covered
        return covered and (relation == "in" or _footprint(candidate).top > box.top)

    def choose(candidates: list[SceneObject]) -> SceneObject:
        fitting = [candidate for candidate in candidates if candidate.name != other.name and fits(candidate)]
        if len(fitting) != 1:
            raise ValueError(f"{len(fitting)} objects fit {phrase!r}, expected one of {_names(candidates)}")
        return fitting[0]

    return choose


def _table_centre(scene: SceneState) -> np.ndarray:
    for name, region in scene.regions.items():
        if name.endswith("table_center"):
            return region.position
    return np.zeros(3)


def _drawer_box(scene: SceneState, drawer: Thing) -> Box:
    joint = find_joint(scene, drawer)
    return region_box(find_region(scene, joint.object, f"{drawer.part.side}_region"))


def _footprint(thing: SceneObject) -> Box:
    return body_box(thing)


def _inventory(scene: SceneState) -> str:
    return ", ".join(f"{thing.name} ({(names_of(thing.category) or ['?'])[0]})" for thing in scene.objects.values())


def _names(candidates: list[SceneObject]) -> str:
    return ", ".join(candidate.name for candidate in candidates)

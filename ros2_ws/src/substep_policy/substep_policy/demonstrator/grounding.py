"""Finds the objects, drawers and doors that a phrase means in the scene of the moment.

Directions are those of the agent view, which looks at the robot: left is −y, right +y, front +x, back −x.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from substep_policy.demonstrator.boxes import Box, body_box, region_box
from substep_policy.demonstrator.nouns import NOUNS, names_of
from substep_policy.demonstrator.vocabulary import normalise
from substep_policy.scene import SceneJoint, SceneObject, SceneRegion, SceneState

DIRECTIONS = {
    "left": np.array([0.0, -1.0]),
    "right": np.array([0.0, 1.0]),
    "front": np.array([1.0, 0.0]),
    "back": np.array([-1.0, 0.0]),
}
LEVELS = ("top", "middle", "bottom")

Choose = Callable[[list[SceneObject]], SceneObject]


def find_object(scene: SceneState, phrase: str, exclude: frozenset[str] = frozenset()) -> SceneObject:
    """The object that a phrase such as "the black bowl next to the plate", or an instance's own name, means.

    Args:
        exclude: names that cannot be meant, e.g. the object in the hand when the place is looked for.

    Raises:
        ValueError: an unknown noun or relation, no such object in the scene, or several with nothing to choose by.
    """
    if phrase in scene.objects and phrase not in exclude:
        return scene.objects[phrase]
    text = _without_article(normalise(phrase))
    position, noun, relation = _take_apart(text)
    candidates = [
        candidate
        for candidate in scene.objects.values()
        if candidate.category in NOUNS[noun] and candidate.name not in exclude
    ]
    if not candidates:
        raise ValueError(f"there is no {noun!r} for {phrase!r} in the scene: it has {_inventory(scene)}")
    candidates = _of_the_particular_category(candidates, noun)
    for choose in _choices(scene, position, relation, phrase):
        candidates = [choose(candidates)]
    if len(candidates) > 1:
        names = ", ".join(candidate.name for candidate in candidates)
        raise ValueError(f"{phrase!r} may mean any of {names}: say which, e.g. 'the left …' or '… next to the …'")
    return candidates[0]


def find_joint(scene: SceneState, phrase: str) -> SceneJoint:
    """The drawer, door or knob that "the top drawer of the cabinet", "the microwave" or "the stove" means.

    Raises:
        ValueError: nothing of that kind is in the scene, or the words are not understood.
    """
    text = _without_article(normalise(phrase))
    drawer = re.fullmatch(rf"({'|'.join(LEVELS)}) (?:layer|drawer|layer drawer)(?: (?:of|in) (.+))?", text)
    if drawer:
        owners = [find_object(scene, drawer[2])] if drawer[2] else list(scene.objects.values())
        names = [name for name in scene.joints if name.endswith(f"{drawer[1]}_level")]
        found = [scene.joints[name] for name in names if scene.joints[name].object in {owner.name for owner in owners}]
    else:
        owner = find_object(scene, text)
        found = [joint for joint in scene.joints.values() if joint.object == owner.name]
    if len(found) != 1:
        expected = ", ".join(scene.joints) or "none"
        raise ValueError(f"{phrase!r} means {len(found)} moving parts, expected one of {expected}")
    return found[0]


def find_region(scene: SceneState, owner: str, suffix: str) -> SceneRegion:
    """The region ``<owner>_<suffix>``. Raises ValueError naming the regions that the object has."""
    region = scene.regions.get(f"{owner}_{suffix}")
    if region is None:
        there = [name for name, region in scene.regions.items() if region.object == owner]
        raise ValueError(f"{owner} has no {suffix.replace('_', ' ')}: its regions are {', '.join(there) or 'none'}")
    return region


def _take_apart(text: str) -> tuple[str | None, str, str]:
    """ "left moka pot" -> ("left", "moka pot", ""); "bowl on the plate" -> (None, "bowl", "on the plate")."""
    position, rest = None, text
    match = re.fullmatch(rf"({'|'.join(DIRECTIONS)}|middle) (.+)", text)
    if match and text not in NOUNS:
        position, rest = match[1], match[2]
    nouns = [noun for noun in NOUNS if rest == noun or rest.startswith(noun + " ")]
    if not nouns:
        raise ValueError(f"{text!r} names nothing known: expected one of {', '.join(sorted(NOUNS))}")
    noun = max(nouns, key=len)
    return position, noun, rest[len(noun) :].strip()


def _choices(scene: SceneState, position: str | None, relation: str, phrase: str) -> list[Choose]:
    choices = [_by_position(position)] if position else []
    if relation:
        choices.append(_by_relation(scene, relation, phrase))
    return choices


def _by_relation(scene: SceneState, relation: str, phrase: str) -> Choose:
    match = re.fullmatch(rf"(?:on|at|in|to) the ({'|'.join(DIRECTIONS)}|middle)", relation)
    if match:
        return _by_position(match[1])
    match = re.fullmatch(r"between (.+) and (.+)", relation)
    if match:
        one, other = (_footprint(find_object(scene, each)) for each in match.groups())
        return _nearest_to((one.position + other.position) / 2)
    match = re.fullmatch(r"(?:next to|near|beside|by) (.+)", relation)
    if match:
        return _nearest_to(_footprint(find_object(scene, match[1])).position)
    match = re.fullmatch(r"(?:from|at|in|on) (?:the )?table(?: |s )?cent(?:er|re)", relation)
    if match:
        return _nearest_to(_table_centre(scene))
    match = re.fullmatch(rf"(?:in|inside) (.*(?:{'|'.join(LEVELS)}) (?:drawer|layer).*)", relation)
    if match:
        return _inside(_drawer_box(scene, match[1]), phrase)
    match = re.fullmatch(r"(on top of|on|in|inside|outside|outside of) (.+)", relation)
    if match:
        return _lying(scene, match[1], find_object(scene, match[2]), phrase)
    raise ValueError(f"the relation {relation!r} in {phrase!r} is not understood")


def _by_position(position: str) -> Choose:
    def choose(candidates: list[SceneObject]) -> SceneObject:
        centres = np.array([_footprint(candidate).position[:2] for candidate in candidates])
        if position == "middle":
            along = int(np.argmax(np.ptp(centres, axis=0)))
            return candidates[int(np.argsort(centres[:, along])[len(candidates) // 2])]
        return candidates[int(np.argmax(centres @ DIRECTIONS[position]))]

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
        if relation.startswith("outside"):
            return not covered
        return covered and (relation.startswith("in") or _footprint(candidate).top > box.top)

    def choose(candidates: list[SceneObject]) -> SceneObject:
        fitting = [candidate for candidate in candidates if candidate.name != other.name and fits(candidate)]
        if len(fitting) != 1:
            raise ValueError(f"{len(fitting)} objects fit {phrase!r}, expected one of {_names(candidates)}")
        return fitting[0]

    return choose


def _of_the_particular_category(candidates: list[SceneObject], noun: str) -> list[SceneObject]:
    """ "cabinet" is the shelf only where there is no cabinet: categories are listed in the order of preference."""
    if noun != "cabinet":
        return candidates
    return [candidate for candidate in candidates if candidate.category == min(
        (each.category for each in candidates), key=NOUNS[noun].index)]  # fmt: skip


def _table_centre(scene: SceneState) -> np.ndarray:
    for name, region in scene.regions.items():
        if name.endswith("table_center"):
            return region.position
    return np.zeros(3)


def _drawer_box(scene: SceneState, phrase: str) -> Box:
    joint = find_joint(scene, phrase)
    level = next(level for level in LEVELS if joint.name.endswith(f"{level}_level"))
    return region_box(find_region(scene, joint.object, f"{level}_region"))


def _footprint(thing: SceneObject) -> Box:
    return body_box(thing)


def _without_article(text: str) -> str:
    return re.sub(r"^(?:the|a|an|both|both the) ", "", text)


def _inventory(scene: SceneState) -> str:
    return ", ".join(f"{thing.name} ({(names_of(thing.category) or ['?'])[0]})" for thing in scene.objects.values())


def _names(candidates: list[SceneObject]) -> str:
    return ", ".join(candidate.name for candidate in candidates)

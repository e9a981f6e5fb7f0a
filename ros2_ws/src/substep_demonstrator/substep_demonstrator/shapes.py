"""How a two-finger hand can grasp each LIBERO category: bowl, mug, box, can, …

Sizes come with the scene state; only what a box does not tell is written down here: where a rim's handle is, what is
round, what has a handle or knob to pinch. Frames are those of LIBERO's models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from substep_core.scene import SceneObject
from substep_demonstrator.boxes import Box, box_from_corners
from substep_demonstrator.frames import Transform, most_vertical_axis, yaw


@dataclass(frozen=True)
class Rim:
    """An open vessel taken by its wall. ``handle``: (2,) direction of the handle in the object's frame, if it has one.

    ``wall`` is the thickness that the grip centre is moved inwards from the outline by half, ``lean`` rad the angle
    of the wall from the vertical: fingers at another angle tilt the vessel as they close.
    """

    handle: tuple[float, float] | None = None
    wall: float = 0.008
    lean: float = 0.0


@dataclass(frozen=True)
class Pinch:
    """A part to take from above: ``point`` (3,) m as offsets from the box's faces, fingers closing along ``closing``.

    ``point`` is relative to the middle of the box along an axis for which ``anchor`` is 0, to its upper (+1) or lower
    (−1) face otherwise.
    """

    point: tuple[float, float, float]
    anchor: tuple[int, int, int]
    closing: tuple[float, float]
    width: float


@dataclass(frozen=True)
class Solid:
    """A box, can or bottle taken across its sides; ``round`` ones from any side."""

    round: bool = False


Shape = Rim | Pinch | Solid

SHAPES: dict[str, tuple[Shape, ...]] = {
    "akita_black_bowl": (Rim(lean=np.radians(15)),),
    "white_bowl": (Rim(lean=np.radians(15)),),
    "red_bowl": (Rim(lean=np.radians(15)),),
    "glazed_rim_porcelain_ramekin": (Rim(lean=np.radians(8)),),
    "plate": (Rim(),),
    "porcelain_mug": (Rim(handle=(-1, 0)),),
    "white_yellow_mug": (Rim(handle=(1, 0)),),
    "red_coffee_mug": (Rim(handle=(1, 0)),),
    "moka_pot": (
        Pinch(point=(0, 0.055, -0.007), anchor=(0, -1, 1), closing=(1, 0), width=0.012),
        Pinch(point=(0, -0.016, -0.036), anchor=(0, 1, 1), closing=(1, 0), width=0.016),
    ),
    "chefmate_8_frypan": (Pinch(point=(-0.1, 0, -0.016), anchor=(1, 0, 1), closing=(0, 1), width=0.028),),
    "alphabet_soup": (Solid(round=True),),
    "tomato_sauce": (Solid(round=True),),
    "wine_bottle": (Solid(round=True),),
}


def shapes_of(thing: SceneObject) -> tuple[Shape, ...]:
    return SHAPES.get(thing.category, (Solid(),))


def rim_of(thing: SceneObject, rim: Rim) -> tuple[np.ndarray, float]:
    """Centre (2,) and radius of the outline in the object's frame, the handle left out of it."""
    centre = (thing.lower[:2] + thing.upper[:2]) / 2
    if rim.handle is None:
        return centre, float(np.min(thing.upper[:2] - thing.lower[:2]) / 2)
    across = 1 if rim.handle[0] else 0
    along = 1 - across
    radius = float(thing.upper[across] - thing.lower[across]) / 2
    side = rim.handle[along]
    centre[along] = thing.lower[along] + radius if side > 0 else thing.upper[along] - radius
    return centre, radius


def is_round(thing: SceneObject) -> bool:
    """Whether it looks like a disc from above when it stands (a handle aside)."""
    return any(isinstance(shape, Rim) or isinstance(shape, Solid) and shape.round for shape in shapes_of(thing))


def hull_boxes(thing: SceneObject, pose: Transform) -> list[Box]:
    """Boxes that fill the object at ``pose``: its own box, or for something round an octagon of four."""
    whole = box_from_corners(pose, thing.lower, thing.upper)
    upright, _ = most_vertical_axis(pose.rotation)
    flat = [axis for axis in range(3) if axis != upright]
    sides = whole.half_size[flat]
    if not is_round(thing) or np.max(sides) > 1.15 * np.min(sides):
        return [whole]
    radius, boxes = float(np.min(sides)), []
    for angle in np.radians([0, 45, 90, 135]):
        half = np.empty(3)
        half[upright], half[flat[0]], half[flat[1]] = whole.half_size[upright], 0.924 * radius, 0.383 * radius
        boxes.append(Box(whole.position, yaw(angle) @ pose.rotation, half))
    return boxes

"""Grasp candidates for an object where it stands, and the choice among them.

A grasp is a hand pose in the object's frame, so that it follows the object when that is moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from substep_core.scene import SceneObject
from substep_demonstrator.boxes import BoxSet
from substep_demonstrator.frames import UP, Transform, angle_between, most_vertical_axis, pose_of, yaw
from substep_demonstrator.hand import (
    FINGER_DEPTH,
    FINGER_TRAVEL,
    FINGER_WIDTH,
    MAX_OPENING,
    TIP_LENGTH,
    hand_depths,
    tilted_hand,
    turn_from_neutral,
)
from substep_demonstrator.robot import overreach
from substep_demonstrator.shapes import Pinch, Rim, Solid, rim_of, shapes_of

_WIDEST = MAX_OPENING - 0.005
_PINCH_DEPTH = 0.03  # below the top of boxes and bottles
_RIM_DEPTH = 0.022
_RIM_TILTS = np.radians([0, 20, 35])  # of the hand, leaning away from the vessel
_PINCH_TILTS = np.radians([0, -20, 20])  # of the hand about the line that its fingers close along
_SOLID_TILTS = np.radians([0, -20, 20, -35, 35])
_ASIDE = (0.0, -0.6, 0.6)  # where along a box to take it, of what lies between its middle and its last hold
_SURROUNDINGS = 0.3  # m around the object in which something may be in the way
_SWEEP = (0.0, 0.05, 0.1)  # m above the grasp at which the hand must be clear as well
_FLOOR_CLEARANCE = 0.004  # of the fingertips above what the object stands on
_ANGLES = np.radians(np.arange(0, 360, 22.5))


@dataclass(frozen=True)
class Grasp:
    """``hand`` in the object's frame; ``preference`` 0 for the best kind of grasp on this object, larger for others."""

    hand: Transform
    preference: float = 0.0

    def world(self, thing: SceneObject) -> Transform:
        return pose_of(thing.position, thing.quaternion) @ self.hand


def grasp_candidates(thing: SceneObject, side: np.ndarray | None = None) -> list[Grasp]:
    """Every way to take the object with a hand that points down, clearance not considered.

    side: (3,) horizontal direction; an open vessel is preferably taken there, with a hand that leans that way.
    """
    frame = pose_of(thing.position, thing.quaternion)
    found = []
    for order, shape in enumerate(shapes_of(thing)):
        if isinstance(shape, Rim) and most_vertical_axis(frame.rotation) == (2, 1.0):
            poses = _rim_poses(thing, frame, shape, side)
        elif isinstance(shape, Pinch) and most_vertical_axis(frame.rotation) == (2, 1.0):
            poses = _pinch_poses(thing, frame, shape)
        else:
            poses = _solid_poses(thing, frame, isinstance(shape, Solid) and shape.round)
        found += [Grasp(frame.inverse() @ pose, preference + order) for pose, preference in poses]
    return found


def choose_grasp(
    thing: SceneObject,
    candidates: list[Grasp],
    hand: Transform,
    obstacles: BoxSet,
    failed: list[Transform],
    shoulder: np.ndarray | None = None,
) -> Grasp | None:
    """The cheapest candidate: little turning of the wrist, clear of everything else, unlike those that failed.

    Args:
        obstacles: all but the object itself.
        failed: hand poses in the object's frame that did not hold it.
        shoulder: (3,) m where the arm begins, see ``find_shoulder``.
    """
    if not candidates:
        return None
    close = obstacles.near(thing.position[:2], _SURROUNDINGS)
    worlds = [grasp.world(thing) for grasp in candidates]
    approaches = [world.moved(-distance * world.rotation[:, 2]) for world in worlds for distance in _SWEEP]
    depths = hand_depths(approaches, MAX_OPENING, close).reshape(len(candidates), -1).max(axis=1)
    stretches = [overreach(shoulder, world) for world in worlds]
    costs = [_cost(*each, hand, failed) for each in zip(candidates, worlds, depths, stretches, strict=True)]
    return candidates[int(np.argmin(costs))]


def _cost(
    grasp: Grasp, world: Transform, depth: float, stretch: float, hand: Transform, failed: list[Transform]
) -> float:
    similar = sum(
        np.linalg.norm(grasp.hand.position - other.position) < 0.02
        and angle_between(grasp.hand.rotation, other.rotation) < 0.5
        for other in failed
    )
    return (
        300 * max(0.0, depth + 0.004)
        + 100 * stretch
        + 0.5 * turn_from_neutral(world.rotation)
        + 0.3 * angle_between(hand.rotation, world.rotation)
        + 1.0 * float(np.linalg.norm(world.position[:2] - hand.position[:2]))
        + 2.0 * grasp.preference
        + 2.0 * similar
    )


def _rim_poses(
    thing: SceneObject, frame: Transform, rim: Rim, side: np.ndarray | None
) -> list[tuple[Transform, float]]:
    centre, radius = rim_of(thing, rim)
    poses = []
    for angle in _ANGLES:
        direction = np.array([np.cos(angle), np.sin(angle)])
        if rim.handle is not None and direction @ np.array(rim.handle) > np.cos(np.radians(40)):
            continue
        outward = frame.rotation @ np.array([*direction, 0.0])
        for tilt in sorted({*_RIM_TILTS, rim.lean}):
            # the outer finger of a tilted hand is the lower one
            lowest = TIP_LENGTH * np.cos(tilt) + (FINGER_TRAVEL + FINGER_WIDTH / 2) * np.sin(tilt)
            height = max(thing.upper[2] - _RIM_DEPTH, thing.lower[2] + lowest + _FLOOR_CLEARANCE)
            point = np.array([*(centre + direction * (radius - rim.wall / 2)), height])
            cost = tilt
            if side is not None:
                cost = 3 * (_RIM_TILTS[-1] - tilt) + float(np.arccos(np.clip(outward @ side, -1, 1)))
            poses.append((Transform(frame.apply(point), tilted_hand(-outward, tilt, outward)), cost))
    return poses


def _pinch_poses(thing: SceneObject, frame: Transform, pinch: Pinch) -> list[tuple[Transform, float]]:
    faces = np.where(np.array(pinch.anchor) > 0, thing.upper, thing.lower)
    faces = np.where(np.array(pinch.anchor) == 0, (thing.lower + thing.upper) / 2, faces)
    closing = frame.rotation @ np.array([*pinch.closing, 0.0])
    point, inwards = frame.apply(faces + pinch.point), np.cross(closing, UP)
    return [(Transform(point, tilted_hand(inwards, tilt, closing)), abs(tilt)) for tilt in _PINCH_TILTS]


def _solid_poses(thing: SceneObject, frame: Transform, is_round: bool) -> list[tuple[Transform, float]]:
    """Across each pair of upright faces that the fingers can span; leaning, or off the middle, where that helps."""
    upright, _ = most_vertical_axis(frame.rotation)
    flat = [axis for axis in range(3) if axis != upright]
    half = (thing.upper - thing.lower) / 2
    centre = frame.apply((thing.lower + thing.upper) / 2)
    top, bottom = centre[2] + half[upright], centre[2] - half[upright]
    poses = []
    for axis, other in (flat, flat[::-1]):
        if 2 * half[axis] > _WIDEST:
            continue
        closing, along = frame.rotation[:, axis], frame.rotation[:, other]
        room = 0.0 if is_round else max(0.0, half[other] - FINGER_DEPTH / 2)
        for angle, aside, tilt in product(_ANGLES[:8] if is_round else [0.0], _ASIDE if room else [0.0], _SOLID_TILTS):
            direction = yaw(angle) @ closing
            lowest = TIP_LENGTH * np.cos(tilt) + FINGER_DEPTH / 2 * np.sin(abs(tilt))
            height = max(top - _PINCH_DEPTH, bottom + lowest + _FLOOR_CLEARANCE)
            point = np.array([*(centre + aside * room * along)[:2], height])
            rotation = tilted_hand(np.cross(direction, UP), tilt, direction)
            poses.append((Transform(point, rotation), 5 * half[axis] + abs(tilt) + 10 * abs(aside) * room))
    return poses

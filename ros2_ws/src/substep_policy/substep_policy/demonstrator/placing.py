"""Where the hand has to let go so that what it holds ends at a destination, chosen clear of everything there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from substep_policy.demonstrator.boxes import Box, BoxSet, box_from_corners
from substep_policy.demonstrator.destinations import Destination, area_axes
from substep_policy.demonstrator.frames import (
    UP,
    Pose,
    angle_between,
    limited,
    most_vertical_axis,
    pose_of,
    rotation_vector,
    shortest_turn,
    turn_by,
    yaw,
)
from substep_policy.demonstrator.hand import MAX_OPENING, POINTING_DOWN, Hand, hand_depths
from substep_policy.demonstrator.obstacles import Obstacle
from substep_policy.demonstrator.shapes import hull_boxes
from substep_policy.scene import SceneObject

_DROP = 0.006  # m above the floor of the place at which the hand opens
_RAISE = np.arange(0, 0.14, 0.015)  # how much higher, where something is in the way
_WAY_DOWN = np.concatenate([_RAISE, [0.17, 0.21, 0.25]])  # heights that it comes down through
_SPOTS = np.linspace(-0.72, 0.72, 7)  # of the area's half size
_OVERHANG = 0.02  # m by which a thing may stand over the edge of what it is put on
_MAX_TILT = np.radians(20)  # of the hand, to set down upright what hangs askew
_WRIST_RANGE = np.radians(115)
_SURROUNDINGS = 0.3  # m around the place in which something may be in the way


@dataclass(frozen=True)
class Release:
    """``hand``: pose at which to open; ``thing``: pose of the object then."""

    hand: Pose
    thing: Pose


@dataclass(frozen=True)
class _Candidate:
    cost: float
    thing: Pose


def choose_release(
    thing: SceneObject, hand: Hand, destination: Destination, obstacles: list[Obstacle], leave_room: bool = False
) -> Release:
    """The cheapest release pose: near the middle, little turning, nothing in the way of the object or of the hand.

    Args:
        thing: as it is held now by ``hand``.
        obstacles: all but the object itself; the owner of a plain-object destination does not count for the object.
        leave_room: prefer a side to the middle, because something of the same kind may have to go there too.
    """
    release_from = (hand.pose.inverse() @ pose_of(thing.position, thing.quaternion)).inverse()
    around = destination.area.position[:2]
    for_thing = [o.box for o in obstacles if not (destination.is_object and o.owner == destination.owner)]
    for_thing = BoxSet.of(for_thing).near(around, _SURROUNDINGS)
    for_hand = BoxSet.of([o.box for o in obstacles]).near(around, _SURROUNDINGS)
    best, best_cost = None, np.inf
    candidates = _candidates(thing, hand.pose, destination, leave_room)
    for candidate in sorted(candidates, key=lambda candidate: candidate.cost):
        if candidate.cost >= best_cost:
            break
        poses = [candidate.thing.raised(height) for height in _WAY_DOWN]
        hands = [pose @ release_from for pose in poses]
        hulls = BoxSet.of([_shrunk(box) for pose in poses for box in hull_boxes(thing, pose)])
        thing_depth = for_thing.depths_of(hulls).reshape(len(poses), -1).max(axis=1)
        hand_depth = [hand_depths(hands, opening, for_hand) for opening in (hand.opening, MAX_OPENING)]
        depth = np.max([thing_depth, *hand_depth], axis=0)
        landing = 100 * max(0.0, float(thing_depth[0]))  # it would come down on something
        depth = np.maximum.accumulate(depth[::-1])[::-1][: len(_RAISE)]  # at that height or further up
        costs = candidate.cost + landing + 15 * _RAISE + 300 * np.maximum(0, depth)
        index = int(np.argmin(costs))
        if costs[index] < best_cost:
            best, best_cost = Release(hands[index], poses[index]), costs[index]
    assert best is not None
    return best


def _candidates(
    thing: SceneObject, hand: Pose, destination: Destination, leave_room: bool
) -> Iterator[_Candidate]:
    """Upright object poses over the area, with what they cost before looking at what is in the way."""
    now = pose_of(thing.position, thing.quaternion)
    axis, sign = most_vertical_axis(now.rotation)
    askew = rotation_vector(shortest_turn(sign * now.rotation[:, axis], UP))
    axes, half = area_axes(destination.area)
    turns = _turns(now.rotation, axes[0])
    for angle, levelled in itertools.product(turns, (True, False)):
        level = turn_by(limited(askew, _MAX_TILT)) if levelled else np.eye(3)
        rotation = yaw(angle) @ level @ now.rotation
        middle = rotation @ ((thing.lower + thing.upper) / 2)
        bottom = box_from_corners(Pose(np.zeros(3), rotation), thing.lower, thing.upper).bottom
        reach = np.abs(axes @ rotation) @ ((thing.upper - thing.lower) / 2)
        turning = 0.6 * angle_between(hand.rotation, yaw(angle) @ hand.rotation)
        turning += 20 * max(0.0, abs(_wrist_angle(yaw(angle) @ hand.rotation)) - _WRIST_RANGE)
        turning += 0.0 if levelled else float(np.linalg.norm(askew))
        for spot in [np.zeros(2)] if destination.is_object else _spots():
            shift = spot * half
            room = np.inf if destination.is_object else half + (_OVERHANG if destination.relation == "on" else 0)
            outside = float(np.sum(np.maximum(np.abs(shift) + reach - room, 0)))
            origin = destination.area.position + shift @ axes - (0 if destination.is_object else middle)
            origin[2] = destination.floor - bottom + _DROP
            best = _SPOTS[-1] * np.min(half) if leave_room else 0.0
            off_centre = 3.0 * abs(float(np.linalg.norm(shift)) - best)
            yield _Candidate(turning + off_centre + 30 * outside, Pose(origin, rotation))


def _spots() -> np.ndarray:
    return np.array(np.meshgrid(_SPOTS, _SPOTS)).reshape(2, -1).T


def _turns(rotation: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Angles to turn by: a coarse circle, and those that line the object up with the area."""
    heading = rotation[:, [i for i in range(3) if i != most_vertical_axis(rotation)[0]][0]]
    aligned = np.arctan2(axis[1], axis[0]) - np.arctan2(heading[1], heading[0]) + np.arange(4) * np.pi / 2
    angles = np.concatenate([np.radians(np.arange(-180, 180, 30)), aligned])
    return (angles + np.pi) % (2 * np.pi) - np.pi


def _wrist_angle(rotation: np.ndarray) -> float:
    """Signed rad about the vertical from the wrist's middle position."""
    relative = rotation @ POINTING_DOWN.T
    return float(np.arctan2(relative[1, 0] - relative[0, 1], relative[0, 0] + relative[1, 1]))


def _shrunk(box: Box) -> Box:
    return Box(box.position, box.rotation, np.maximum(box.half_size - 0.003, 0.001))

"""Where the hand has to let go so that what it holds ends at a destination, chosen clear of everything there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from substep_core.scene import SceneObject
from substep_demonstrator.boxes import Box, BoxSet, Separation, box_from_corners
from substep_demonstrator.destinations import Destination, area_axes
from substep_demonstrator.frames import (
    UP,
    Transform,
    angle_between,
    limited,
    most_vertical_axis,
    pose_of,
    rotation_vector,
    shortest_turn,
    turn_by,
    yaw,
)
from substep_demonstrator.hand import MAX_OPENING, POINTING_DOWN, Hand, hand_boxes
from substep_demonstrator.obstacles import Obstacle
from substep_demonstrator.robot import overreach
from substep_demonstrator.shapes import hull_boxes

_DROP = 0.006  # m above the floor of the place at which the hand opens
_RAISE = np.arange(0, 0.14, 0.015)  # how much higher, where something is in the way
_WAY_DOWN = np.concatenate([_RAISE, [0.17, 0.21, 0.25]])  # heights that it comes down through
_SPOTS = np.linspace(-0.72, 0.72, 7)  # of the area's half size
_FINE = np.linspace(-0.12, 0.12, 5)  # around the best of them
_OVERHANG = 0.02  # m by which a thing may stand over the edge of what it is put on
_GIVE = {"on": 0.003, "in": 0.006}  # m by which it may squeeze past a neighbour
_MAX_TILT = np.radians(20)  # of the hand, to set down upright what hangs askew
_WRIST_RANGE = np.radians(115)
_OUT_OF_REACH = 3.0  # cost of a hand pose like one that the arm could not get to
_SURROUNDINGS = 0.3  # m around the place in which something may be in the way


@dataclass(frozen=True)
class Release:
    """``hand``: pose at which to open; ``thing``: pose of the object then."""

    hand: Transform
    thing: Transform


@dataclass(frozen=True, eq=False)
class _Orientation:
    """The object turned one way: rotation (3, 3), and what it costs to get there."""

    rotation: np.ndarray
    turning: float


@dataclass(frozen=True)
class _Candidate:
    """An orientation and a spot (2,), in parts of the area's half size; ``cost`` leaves obstacles out.

    ``position``: (3,) m, where the object's origin then is.
    """

    orientation: _Orientation
    spot: np.ndarray
    cost: float
    position: np.ndarray


def choose_release(
    thing: SceneObject,
    hand: Hand,
    destination: Destination,
    obstacles: list[Obstacle],
    leave_room: bool = False,
    failed: Sequence[Transform] = (),
    shoulder: np.ndarray | None = None,
) -> Release:
    """The cheapest release pose: near the middle, little turning, nothing in the way of the object or of the hand.

    Args:
        thing: as it is held now by ``hand``.
        obstacles: all but the object itself; the owner of a plain-object destination does not count for the object.
        leave_room: prefer a side to the middle, because something of the same kind may have to go there too.
        failed: hand poses that the arm could not get to.
        shoulder: (3,) m where the arm begins, see ``find_shoulder``.
    """
    planner = _Planner(thing, hand, destination, obstacles, leave_room, failed, shoulder)
    best = planner.cheapest([(each, spot) for each in planner.orientations() for spot in planner.spots()])
    if not destination.is_object:
        best = planner.cheapest([(best.orientation, best.spot + offset) for offset in _grid(_FINE)])
    return planner.release(best)


class _Planner:
    def __init__(
        self,
        thing: SceneObject,
        hand: Hand,
        destination: Destination,
        obstacles: list[Obstacle],
        leave_room: bool,
        failed: Sequence[Transform],
        shoulder: np.ndarray | None,
    ) -> None:
        self._failed, self._shoulder = failed, shoulder
        self._thing, self._hand, self._destination, self._leave_room = thing, hand, destination, leave_room
        self._now = pose_of(thing.position, thing.quaternion)
        self._release_from = (hand.pose.inverse() @ self._now).inverse()
        self._axes, self._half = area_axes(destination.area)
        around = destination.area.position[:2]
        solid = [o.box for o in obstacles if not (destination.is_object and o.owner == destination.owner)]
        self._for_thing = BoxSet.of(solid).near(around, _SURROUNDINGS)
        self._for_hand = BoxSet.of([o.box for o in obstacles]).near(around, _SURROUNDINGS)
        self._separations: dict[_Orientation, tuple[Separation, Separation]] = {}

    def orientations(self) -> list[_Orientation]:
        """About upright, as it hangs, or so that the hand points straight down."""
        axis, sign = most_vertical_axis(self._now.rotation)
        hanging = sign * self._now.rotation[:, axis]
        found = []
        for angle in _turns(self._now.rotation, self._axes[0]):
            for level in self._levels(yaw(angle) @ hanging, yaw(angle) @ self._hand.pose.rotation[:, 2]):
                turn = level @ yaw(angle)
                askew = float(np.arccos(np.clip(self._destination.upwards @ turn @ hanging, -1, 1)))
                hand = turn @ self._hand.pose.rotation
                turning = 0.6 * angle_between(self._hand.pose.rotation, hand) + 1.0 * askew
                turning += 20 * max(0.0, abs(_wrist_angle(hand)) - _WRIST_RANGE)
                found.append(_Orientation(turn @ self._now.rotation, turning))
        return found

    def _levels(self, hanging: np.ndarray, pointing: np.ndarray) -> list[np.ndarray]:
        """Turns of what hangs along one direction from a hand that points in another."""
        upwards = self._destination.upwards
        if self._destination.is_slope:
            return [shortest_turn(hanging, upwards)]
        levels = [shortest_turn(hanging, upwards), np.eye(3), shortest_turn(pointing, -UP)]
        return [turn_by(limited(rotation_vector(level), _MAX_TILT)) for level in levels]

    def spots(self) -> np.ndarray:
        return np.zeros((1, 2)) if self._destination.is_object else _grid(_SPOTS)

    def cheapest(self, choices: list[tuple[_Orientation, np.ndarray]]) -> _Candidate:
        """Of (orientation, spot). Obstacles only add to a cost, so what is dearer anyway is not checked."""
        best, best_cost = None, np.inf
        for candidate in sorted((self._candidate(*choice) for choice in choices), key=lambda each: each.cost):
            if candidate.cost >= best_cost:
                break
            cost = float(np.min(self._costs(candidate)))
            if cost < best_cost:
                best, best_cost = candidate, cost
        assert best is not None
        return best

    def release(self, candidate: _Candidate) -> Release:
        pose = Transform(candidate.position, candidate.orientation.rotation)
        pose = pose.raised(float(_RAISE[int(np.argmin(self._costs(candidate)))]))
        return Release(pose @ self._release_from, pose)

    def _candidate(self, orientation: _Orientation, spot: np.ndarray) -> _Candidate:
        thing, destination, rotation = self._thing, self._destination, orientation.rotation
        middle = rotation @ ((thing.lower + thing.upper) / 2)
        bottom = box_from_corners(Transform(np.zeros(3), rotation), thing.lower, thing.upper).bottom
        shift = spot * self._half
        origin = (
            destination.area.position
            + shift @ self._axes
            - (0 if destination.is_object or destination.is_slope else middle)
        )
        origin[2] = destination.floor - bottom + _DROP
        preferred = _SPOTS[-1] * np.min(self._half) if self._leave_room else 0.0
        away = abs(float(np.linalg.norm(shift)) - preferred)
        cost = orientation.turning + 3.0 * away + 30 * self._outside(rotation, shift)
        hand = Transform(origin, rotation) @ self._release_from
        cost += _OUT_OF_REACH * sum(_is_like(hand, other) for other in self._failed)
        cost += 100 * overreach(self._shoulder, hand)
        return _Candidate(orientation, spot, cost, origin)

    def _outside(self, rotation: np.ndarray, shift: np.ndarray) -> float:
        """m by which the object would stand out of the area."""
        if self._destination.is_object:
            return 0.0
        reach = np.abs(self._axes @ rotation) @ ((self._thing.upper - self._thing.lower) / 2)
        room = self._half + (_OVERHANG if self._destination.relation == "on" else 0.0)
        return float(np.sum(np.maximum(np.abs(shift) + reach - room, 0)))

    def _costs(self, candidate: _Candidate) -> np.ndarray:
        """The candidate's cost for each of the heights ``_RAISE`` to let go at."""
        way_down = candidate.position + np.outer(_WAY_DOWN, UP)
        of_thing, of_hand = self._separations_of(candidate.orientation)
        thing_depth = of_thing.depths(way_down).max(axis=1)
        depth = np.maximum(thing_depth, of_hand.depths(way_down).max(axis=1))
        on_the_way = np.maximum.accumulate(depth[::-1])[::-1][: len(_RAISE)]  # at that height or further up
        landing = 100 * max(0.0, float(thing_depth[0]))  # it would come down on something
        return candidate.cost + landing + 15 * _RAISE + 300 * np.maximum(0, on_the_way)

    def _separations_of(self, orientation: _Orientation) -> tuple[Separation, Separation]:
        """What the object hits, and what the hand hits that holds it and then lets go, for the object at the origin."""
        if orientation not in self._separations:
            pose = Transform(np.zeros(3), orientation.rotation)
            give = _GIVE[self._destination.relation]
            hulls = BoxSet.of([_shrunk(box, give) for box in hull_boxes(self._thing, pose)])
            hand = pose @ self._release_from
            hands = BoxSet.joined([hand_boxes([hand], opening) for opening in (self._hand.opening, MAX_OPENING)])
            of_thing, of_hand = Separation(self._for_thing, hulls), Separation(self._for_hand, hands)
            self._separations[orientation] = of_thing, of_hand
        return self._separations[orientation]


def _is_like(hand: Transform, other: Transform) -> bool:
    near = np.linalg.norm(hand.position - other.position) < 0.04
    return bool(near and angle_between(hand.rotation, other.rotation) < 0.6)


def _grid(values: np.ndarray) -> np.ndarray:
    """(n², 2) pairs of the values."""
    return np.array(np.meshgrid(values, values)).reshape(2, -1).T


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


def _shrunk(box: Box, by: float) -> Box:
    return Box(box.position, box.rotation, np.maximum(box.half_size - by, 0.001))

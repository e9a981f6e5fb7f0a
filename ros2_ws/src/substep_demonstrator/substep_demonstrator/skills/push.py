"""Push a flat round thing over the table: from behind, between spread fingers that keep it in line."""

from __future__ import annotations

import numpy as np

from substep_core.language.phrases import Place, Thing
from substep_core.scene import SceneObject
from substep_demonstrator.boxes import BoxSet, body_box
from substep_demonstrator.controller import OPEN, Pace
from substep_demonstrator.destinations import Destination, find_destination
from substep_demonstrator.frames import Transform, angle_between, yaw
from substep_demonstrator.grounding import find_object
from substep_demonstrator.hand import MAX_OPENING, TIP_LENGTH, hand_depths, tilted_hand
from substep_demonstrator.robot import overreach
from substep_demonstrator.skills.skill import HandTarget, Instant, Standstill
from substep_demonstrator.travel import Traveller

_TILT = np.radians(20)  # the palm leans over the thing, away from what stands behind the hand
_FAR_TILT = np.radians(32)  # the same where the arm would have to stretch too far
_ABOVE_TABLE = 0.005  # of the fingertips
_BEHIND = -0.003  # m from the outline, where the hand comes down: the thing bulges out between its fingers
_SLANTS = np.radians([0, 12, -12, 25, -25])  # of the hand to the way
_SWEEP = (0.0, 0.08, 0.16)  # m above the table at which the hand must be clear behind the thing
_LEAD = 0.04  # m that the hand is led ahead
_STUCK_STEPS = 20
_LIFT = 0.1
_PUSHING = Pace(speed=0.8, turning=0.3)


class Push:
    def __init__(self, phrase: Thing, place: Place) -> None:
        self._phrase, self._place = phrase, place
        self._traveller = Traveller()
        self._name: str | None = None
        self._facing: np.ndarray | None = None
        self._pushes = False
        self._still = 0
        self._standstill = Standstill()
        self._lifted_from: Transform | None = None

    def step(self, view: Instant) -> HandTarget:
        if self._name is None:
            self._name = find_object(view.scene, self._phrase).name
        thing = view.thing(self._name)
        destination = find_destination(view.scene, self._place, thing)
        way = destination.area.position[:2] - thing.position[:2]
        leg_is_over = self._pushes and (way @ self._facing < 0.004 or self._is_stuck(view))
        arrived = not self._pushes and destination.holds(view.scene, thing)
        if self._lifted_from is not None or leg_is_over or arrived:
            return self._lift(view, destination, thing)
        return self._push(view, thing, way)

    def _is_stuck(self, view: Instant) -> bool:
        self._still = self._still + 1 if view.is_slow else 0
        return self._still > _STUCK_STEPS

    def _push(self, view: Instant, thing: SceneObject, way: np.ndarray) -> HandTarget:
        """Down behind the thing, then straight on, steering so that the thing stays between the fingers."""
        hand, box = view.hand.pose, body_box(thing)
        if self._facing is None:
            self._facing, self._still = self._clear_facing(view, thing, way), 0
        facing, sideways = self._facing, np.array([-self._facing[1], self._facing[0]])
        start = _behind(thing, facing, view.shoulder)
        offset = hand.position[:2] - box.position[:2]
        behind, aside = -float(offset @ facing), float(offset @ sideways)
        in_line = abs(aside) < 0.025 and 0 < behind < _radius(thing) + 0.03
        ready = hand.position[2] < start.position[2] + 0.008 and angle_between(hand.rotation, start.rotation) < 0.2
        self._pushes = in_line and (ready or self._pushes and hand.position[2] < start.position[2] + 0.03)
        if not self._pushes and self._standstill.is_stuck(hand):
            self._lifted_from = hand
        if not self._pushes:
            return HandTarget(self._traveller.waypoint(hand, start, view.obstacles(thing.name)), OPEN)
        ahead = hand.position[:2] + facing * _LEAD - 0.5 * aside * sideways
        return HandTarget(Transform(np.array([*ahead, start.position[2]]), start.rotation), OPEN, _PUSHING)

    def _clear_facing(self, view: Instant, thing: SceneObject, way: np.ndarray) -> np.ndarray:
        """(2,) the way itself, or turned a little where something stands behind the thing: the rest is another leg."""
        obstacles = BoxSet.of([obstacle.box for obstacle in view.obstacles(thing.name) if obstacle.owner != "table"])
        close = obstacles.near(thing.position[:2], 0.4)
        facings = [yaw(slant)[:2, :2] @ (way / np.linalg.norm(way)) for slant in _SLANTS]
        depths = [
            hand_depths(
                [_behind(thing, facing, view.shoulder).raised(height) for height in _SWEEP], MAX_OPENING, close
            ).max()
            for facing in facings
        ]
        return facings[int(np.argmin(np.maximum(np.array(depths) + 0.003, 0)))]

    def _lift(self, view: Instant, destination: Destination, thing: SceneObject) -> HandTarget:
        hand = view.hand.pose
        if self._lifted_from is None:
            self._lifted_from, self._pushes = hand, False
        goal = self._lifted_from.raised(_LIFT)
        is_up = hand.position[2] > goal.position[2] - 0.02
        there = destination.holds(view.scene, thing)
        if is_up and not there:
            self._lifted_from = self._facing = None
        return HandTarget(goal, OPEN, done=is_up and there)


def _radius(thing: SceneObject) -> float:
    return float(np.min(thing.upper[:2] - thing.lower[:2]) / 2)


def _behind(thing: SceneObject, facing: np.ndarray, shoulder: np.ndarray | None) -> Transform:
    """The hand down on the table behind the thing, fingers side by side across ``facing`` (2,)."""
    box = body_box(thing)
    position = np.array([*(box.position[:2] - facing * (_radius(thing) + _BEHIND)), box.bottom])
    across = np.array([-facing[1], facing[0], 0.0])
    tilts = (_TILT, _FAR_TILT)
    poses = [Transform(position, tilted_hand(-np.array([*facing, 0.0]), tilt, across)) for tilt in tilts]
    near, far = (pose.raised(_ABOVE_TABLE + TIP_LENGTH) for pose in poses)
    return far if overreach(shoulder, near) > 0 else near

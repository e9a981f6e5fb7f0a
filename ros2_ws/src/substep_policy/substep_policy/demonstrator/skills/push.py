"""Push a flat thing over the table: closed fingers inside its rim, dragging it along."""

from __future__ import annotations

import numpy as np

from substep_policy.demonstrator.boxes import body_box
from substep_policy.demonstrator.controller import CLOSED
from substep_policy.demonstrator.destinations import Destination, find_destination
from substep_policy.demonstrator.frames import Pose
from substep_policy.demonstrator.grounding import find_object
from substep_policy.demonstrator.hand import TIP_LENGTH, pointing_down
from substep_policy.demonstrator.skills.skill import Motion, View
from substep_policy.demonstrator.travel import Traveller
from substep_policy.scene import SceneObject

_CLOSED_ENOUGH = 0.01
_INSIDE = 0.45  # of the outline's radius: where the fingers go down
_TOLERANCE = 0.012
_ABOVE_FLOOR = 0.012  # of the fingertips over the thing's underside
_LEAD = 0.03


class Push:
    def __init__(self, splits: tuple[tuple[str, str, str], ...]) -> None:
        self._traveller = Traveller()
        self._splits = splits
        self._name: str | None = None
        self._words = ("", "")
        self._pushing = False
        self._lifted_from: Pose | None = None

    def step(self, view: View) -> Motion:
        if self._name is None:
            self._ground(view)
        thing = view.thing(self._name)
        destination = find_destination(view.scene, *self._words, thing)
        way = destination.area.position[:2] - thing.position[:2]
        arrived = np.linalg.norm(way) < _TOLERANCE and destination.holds(view.scene, thing)
        if arrived or self._lifted_from is not None:
            return self._lift(view, destination, thing)
        return self._drag(view, thing, way / max(np.linalg.norm(way), 1e-6))

    def _ground(self, view: View) -> None:
        errors = []
        for subject, preposition, place in self._splits:
            try:
                thing = find_object(view.scene, subject)
                find_destination(view.scene, preposition, place, thing)
                self._name, self._words = thing.name, (preposition, place)
                return
            except ValueError as error:
                errors.append(str(error))
        raise ValueError("; or ".join(dict.fromkeys(errors)))

    def _drag(self, view: View, thing: SceneObject, direction: np.ndarray) -> Motion:
        """Down in the middle, then against the rim ahead and on; lifts off when the thing got away."""
        hand, box = view.hand.pose, body_box(thing)
        radius = float(np.min(thing.upper[:2] - thing.lower[:2]) / 2)
        entry = box.position[:2] + direction * _INSIDE * radius
        height = box.bottom + _ABOVE_FLOOR + TIP_LENGTH
        # along the direction of motion the closed fingers are broadest across it
        rotation = pointing_down(np.arctan2(direction[1], direction[0]) + np.pi / 2)
        inside = np.linalg.norm(hand.position[:2] - box.position[:2]) < 0.9 * radius
        low = hand.position[2] < height + 0.012
        self._pushing = inside and (low or self._pushing and hand.position[2] < height + 0.03)
        if self._pushing:
            ahead = hand.position[:2] + direction * _LEAD + (entry - hand.position[:2]) * 0.0
            return Motion(Pose(np.array([*ahead, height - 0.004]), rotation), CLOSED)
        goal = Pose(np.array([*entry, height]), rotation)
        return Motion(self._traveller.waypoint(hand, goal, view.obstacles(thing.name)), CLOSED)

    def _lift(self, view: View, destination: Destination, thing: SceneObject) -> Motion:
        hand = view.hand.pose
        if self._lifted_from is None:
            self._lifted_from = hand
        goal = self._lifted_from.raised(0.1)
        is_up = hand.position[2] > goal.position[2] - 0.02
        if is_up and not destination.holds(view.scene, thing):
            self._lifted_from = None
        return Motion(goal, CLOSED, done=is_up and destination.holds(view.scene, thing))

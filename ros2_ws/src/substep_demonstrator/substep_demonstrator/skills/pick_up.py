"""Pick up: over the object, down, close, lift; again with another grasp when it did not hold."""

from __future__ import annotations

import numpy as np

from substep_core.language.phrases import Thing
from substep_core.scene import SceneObject
from substep_demonstrator.boxes import BoxSet, body_box
from substep_demonstrator.controller import CLOSED, OPEN
from substep_demonstrator.frames import UP, Transform, angle_between, pose_of
from substep_demonstrator.grasps import Grasp, choose_grasp, grasp_candidates
from substep_demonstrator.grounding import find_object
from substep_demonstrator.hand import Hand
from substep_demonstrator.skills.microwave import opening_direction
from substep_demonstrator.skills.reach import reach
from substep_demonstrator.skills.skill import Grip, HandTarget, Instant, Standstill
from substep_demonstrator.travel import Traveller

_LIFT = 0.07
_UPRIGHT = -np.cos(np.radians(20))  # height of the approach direction of a hand that comes from above
_AT_GRASP = 0.007  # m
_ALIGNED = 0.08  # rad
_NEARLY_AT_GRASP = 0.015  # where something keeps the hand from going further
_NEARLY_ALIGNED = 0.2
_STALLED_STEPS = 6
_RETREAT = 0.1
_LOST_STEPS = 4
_OPENING_STEPS = 8  # a wall may keep the fingers from opening further
_OPEN_ENOUGH = 0.07
_EMPTY = 0.002  # opening of fingers that have nothing between them, m; the rim of a bowl is thin
_AT_FINGERS = 0.02  # m


class PickUp:
    def __init__(self, phrase: Thing) -> None:
        self._traveller = Traveller()
        self._phrase = phrase
        self._name: str | None = None
        self._grasp: Grasp | None = None
        self._planned_for: Transform | None = None
        self._failed: list[Transform] = []
        self._grip: Grip | None = None
        self._closed_at: Transform | None = None
        self._holds = False
        self._standstill = Standstill()
        self._retreat: Transform | None = None
        self._waiting = self._stalled = self._lost = 0
        self._resting_height = 0.0

    @property
    def name(self) -> str | None:
        """The object, once it was looked for."""
        return self._name

    def step(self, view: Instant) -> HandTarget:
        if self._name is None:
            self._name = held_or_found(view, self._phrase).name
            self._holds = self._name in view.scene.grasped
            self._resting_height = body_box(view.thing(self._name)).bottom
        thing = view.thing(self._name)
        if self._grip is None and not self._holds and _is_gripped(view, thing):
            self._grip, self._closed_at, self._retreat = Grip(), view.hand.pose, None
        if self._holds:
            return self._lift(view, thing)
        if self._grip is not None:
            return self._close(view, thing)
        return self._approach(view, thing)

    def _approach(self, view: Instant, thing: SceneObject) -> HandTarget:
        hand = view.hand.pose
        is_stuck = self._standstill.is_stuck(hand)
        if self._retreat is not None:
            return self._back_off(hand, is_stuck)
        self._plan(view, thing)
        goal = self._grasp.world(thing)
        distance, angle = np.linalg.norm(goal.position - hand.position), angle_between(hand.rotation, goal.rotation)
        near = distance < _NEARLY_AT_GRASP and angle < _NEARLY_ALIGNED
        self._stalled = self._stalled + 1 if near and view.is_slow else 0
        nearly = self._stalled > _STALLED_STEPS
        arrived = nearly or distance < _AT_GRASP and angle < _ALIGNED
        if is_stuck and not arrived:
            return self._fail(view, thing, retreat=hand.moved(-_RETREAT * hand.rotation[:, 2]))
        self._waiting = self._waiting + 1 if arrived else 0
        if nearly or arrived and (view.hand.opening > _OPEN_ENOUGH or self._waiting > _OPENING_STEPS):
            self._grip, self._closed_at = Grip(), hand if nearly else goal
            self._resting_height = body_box(thing).bottom
            return HandTarget(self._closed_at, CLOSED)
        if goal.rotation[2, 2] < _UPRIGHT:
            target = self._traveller.waypoint(hand, goal, view.obstacles(thing.name))
        else:
            target = reach(view, self._traveller, goal, 0.1, thing.name)
        if view.hand.opening < _OPEN_ENOUGH or angle_between(hand.rotation, goal.rotation) > 0.3:
            target.position[2] = max(target.position[2], min(hand.position[2], body_box(thing).top + 0.05))
        return HandTarget(target, OPEN)

    def _close(self, view: Instant, thing: SceneObject) -> HandTarget:
        """On the spot until the fingers rest: what they squeeze may still turn into line with them."""
        if self._grip.close(view.hand.opening):
            if self._name not in view.scene.grasped:
                return self._fail(view, thing)
            self._holds, self._lost = True, 0
        return HandTarget(self._closed_at, CLOSED)

    def _lift(self, view: Instant, thing: SceneObject) -> HandTarget:
        hand = view.hand.pose
        self._lost = 0 if self._name in view.scene.grasped else self._lost + 1
        if self._lost > _LOST_STEPS:
            return self._fail(view, thing)
        risen = body_box(thing).bottom - self._resting_height
        back = -hand.rotation[:, 2] if hand.rotation[2, 2] > _UPRIGHT else UP
        goal = hand.moved(back * (max(_LIFT - risen, 0.0) + 0.01))
        return HandTarget(goal, CLOSED, done=risen >= _LIFT)

    def _back_off(self, hand: Transform, is_stuck: bool) -> HandTarget:
        goal = self._retreat
        if is_stuck or np.linalg.norm(hand.position - goal.position) < 0.02:
            self._retreat = None
        return HandTarget(goal, OPEN)

    def _fail(self, view: Instant, thing: SceneObject, retreat: Transform | None = None) -> HandTarget:
        """Lets go; another grasp is chosen next, after the hand has gone to ``retreat``."""
        hand = view.hand.pose
        tried = hand if retreat is None else self._grasp.world(thing)
        self._failed.append(pose_of(thing.position, thing.quaternion).inverse() @ tried)
        self._retreat = retreat
        self._grasp, self._grip, self._closed_at, self._holds = None, None, None, False
        return HandTarget(hand.raised(0.05), OPEN)

    def _plan(self, view: Instant, thing: SceneObject) -> None:
        """Keeps a grasp as long as the object stays about where it was when the grasp was chosen."""
        now = pose_of(thing.position, thing.quaternion)
        if self._grasp is not None and not _has_moved(self._planned_for, now):
            return
        candidates = grasp_candidates(thing, _side_to_take(view))
        if not candidates:
            raise ValueError(f"{thing.name} is too wide for the hand in every direction: {thing.upper - thing.lower} m")
        obstacles = BoxSet.of([obstacle.box for obstacle in view.obstacles(thing.name)])
        self._grasp = choose_grasp(thing, candidates, view.hand.pose, obstacles, self._failed, view.shoulder)
        self._planned_for = now


def _is_gripped(view: Instant, thing: SceneObject) -> bool:
    """Somebody else has closed the hand on it, who moved the arm in between: what they began is to be ended."""
    return thing.name in view.scene.grasped and view.hand.opening < _OPEN_ENOUGH


def _side_to_take(view: Instant) -> np.ndarray | None:
    """(3,) the side of a thing that stays outside when it is put into a microwave; None where there is none."""
    for owner in view.scene.objects.values():
        if owner.category == "microwave":
            return opening_direction(owner)
    return None


def is_between_fingers(hand: Hand, thing: SceneObject) -> bool:
    """Closed on something where the thing is: LIBERO may find it touched by one finger only for some steps."""
    closed = _EMPTY < hand.opening < _OPEN_ENOUGH
    return closed and body_box(thing).contains(hand.pose.position, _AT_FINGERS)


def held_or_found(view: Instant, phrase: Thing) -> SceneObject:
    """The object in the hand if the phrase may mean it, else the one that the phrase means."""
    elsewhere = frozenset(view.scene.objects) - view.scene.grasped
    if view.scene.grasped:
        try:
            return find_object(view.scene, phrase, exclude=elsewhere)
        except ValueError:
            pass
    return find_object(view.scene, phrase)


def _has_moved(planned_for: Transform, now: Transform) -> bool:
    far = np.linalg.norm(planned_for.position - now.position) > 0.03
    return bool(far or angle_between(planned_for.rotation, now.rotation) > 0.3)

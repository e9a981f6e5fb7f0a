"""Place: carry over, down, open, retreat; picks the object up again when it is not in the hand."""

from __future__ import annotations

import numpy as np

from substep_core.language import phrases
from substep_core.scene import SceneObject
from substep_demonstrator.boxes import body_box
from substep_demonstrator.controller import CLOSED, OPEN, Pace
from substep_demonstrator.destinations import Destination, find_destination
from substep_demonstrator.frames import UP, Transform, angle_between, pose_of
from substep_demonstrator.placing import Release, choose_release
from substep_demonstrator.skills.microwave import PutInside
from substep_demonstrator.skills.pick_up import PickUp, held_or_found, is_between_fingers
from substep_demonstrator.skills.skill import HandTarget, Instant, Opening, Standstill, load_of
from substep_demonstrator.travel import Funnel, Traveller

_CARRYING = Pace(speed=0.9, turning=0.45)  # what hangs from a rim slips when it is swung
_AT_RELEASE = 0.008  # m
_ALIGNED = 0.15  # rad
_RETREAT = 0.06
_LEANING = np.cos(np.radians(25))  # height of the approach direction of a hand that has to leave the way it came
_STALLED_STEPS = 6
_LOST_STEPS = 4
_WAIT_STEPS = 12  # for the effect after the retreat


class PutDown:
    def __init__(self, phrase: phrases.Thing, place: phrases.Place) -> None:
        self._traveller = Traveller()
        self._phrase, self._place = phrase, place
        self._name: str | None = None
        self._pick: PickUp | None = None
        self._inside: PutInside | None = None  # for a place that opens to the side
        self._release: Release | None = None
        self._held: Transform | None = None
        self._let_go_at: Transform | None = None
        self._opening, self._is_open = Opening(), False
        self._standstill = Standstill()
        self._out_of_reach: list[Transform] = []  # hand poses on the way to which the arm got stuck
        self._stalled = self._lost = self._waited = 0
        self._lift_to = -np.inf
        self._held_once = False  # LIBERO's containers are so tight that a predicate may hold only while a thing goes in

    def step(self, view: Instant) -> HandTarget:
        if self._name is None:
            self._ground(view)
        thing = view.thing(self._name)
        self._held_once = self._held_once or self._destination(view, thing).holds(view.scene, thing)
        if self._let_go_at is not None:
            return self._let_go(view, thing)
        if self._inside is not None and self._inside.let_go:
            return self._inside.step(view)
        if self._pick is None and self._has_lost(view, thing):
            if self._is_there(view, thing):
                return self._leave(view)
            if self._inside is not None and self._inside.stands_in_opening(view):
                return self._inside.leave(view)
            self._pick = PickUp(phrases.Thing(self._name))
        if self._pick is not None:
            return self._pick_again(view)
        if self._inside is not None:
            return self._inside.step(view)
        return self._carry(view, thing)

    def _ground(self, view: Instant) -> None:
        thing = held_or_found(view, self._phrase)
        destination = find_destination(view.scene, self._place, thing)
        self._name = thing.name
        if destination.relation == "in" and view.thing(destination.owner).category == "microwave":
            self._inside = PutInside(thing.name, destination)

    def _has_lost(self, view: Instant, thing: SceneObject) -> bool:
        """LIBERO may find a thing that is held touched by one finger only, for some steps."""
        if self._name in view.scene.grasped:
            self._lost = 0
        else:
            self._lost += 1 if is_between_fingers(view.hand, thing) else _LOST_STEPS + 1
        return self._lost > _LOST_STEPS

    def _leave(self, view: Instant) -> HandTarget:
        """What is there stays there. A hand that is open has put it there before, and has begun to back off."""
        if self._inside is not None:
            return self._inside.leave(view)
        is_open = view.hand.opening > Opening.ENOUGH
        return self._open_here(view.hand.pose.raised(-_RETREAT if is_open else 0.0))

    def _pick_again(self, view: Instant) -> HandTarget:
        motion = self._pick.step(view)
        if motion.done:
            self._pick, self._release, self._lost = None, None, 0
        return HandTarget(motion.target, motion.gripper, motion.pace)

    def _destination(self, view: Instant, thing: SceneObject) -> Destination:
        return find_destination(view.scene, self._place, thing)

    def _carry(self, view: Instant, thing: SceneObject) -> HandTarget:
        hand = view.hand.pose
        obstacles = view.obstacles(thing.name)
        held = hand.inverse() @ pose_of(thing.position, thing.quaternion)
        if self._release is None or self._is_far(hand) and _has_slipped(self._held, held):
            destination = self._destination(view, thing)
            room = _has_its_like_elsewhere(view, thing, destination)
            self._release = choose_release(
                thing, view.hand, destination, obstacles, room, self._out_of_reach, view.shoulder
            )
            self._held = held
        goal = self._release.hand
        error = goal.position - hand.position
        self._stalled = self._stalled + 1 if view.is_slow and np.linalg.norm(error[:2]) < 0.02 else 0
        arrived = np.linalg.norm(error) < _AT_RELEASE and angle_between(hand.rotation, goal.rotation) < _ALIGNED
        is_far = self._is_far(hand)
        is_stuck = self._standstill.is_stuck(hand) and not arrived
        rests = self._stalled > _STALLED_STEPS or is_stuck and not is_far
        if is_stuck and is_far:
            self._out_of_reach.append(goal)
        if is_stuck and is_far or rests and abs(error[2]) > 0.05:
            self._lift_to, self._stalled = hand.position[2] + 0.08, 0
        if hand.position[2] < self._lift_to:
            return self._lift(view)
        if arrived or rests:
            return self._open_here(hand)
        funnel = Funnel(width=0.006, slope=4.0, height=0.05)
        return HandTarget(
            self._traveller.waypoint(hand, goal, obstacles, load_of(thing, hand), funnel), CLOSED, _CARRYING
        )

    def _open_here(self, hand: Transform) -> HandTarget:
        self._let_go_at, self._opening, self._is_open = hand, Opening(), False
        return HandTarget(hand, OPEN)

    def _lift(self, view: Instant) -> HandTarget:
        """Up again from where the thing got stuck, and a new plan from there."""
        hand = view.hand.pose
        if hand.position[2] > self._lift_to - 0.015 or self._standstill.is_stuck(hand):
            self._lift_to, self._release = -np.inf, None
            return HandTarget(hand, CLOSED)
        return HandTarget(
            Transform(np.array([*hand.position[:2], self._lift_to + 0.01]), self._release.hand.rotation), CLOSED
        )

    def _is_far(self, hand: Transform) -> bool:
        """Plans are changed on the way only: near the place, a thing that moves in the hand has touched something."""
        return bool(np.linalg.norm(self._release.hand.position[:2] - hand.position[:2]) > 0.03)

    def _let_go(self, view: Instant, thing: SceneObject) -> HandTarget:
        """Opens on the spot, then backs off upwards, then waits until the object has come to rest."""
        hand = view.hand.pose
        self._is_open = self._is_open or self._opening.open(view.hand.opening)
        if not self._is_open:
            return HandTarget(self._let_go_at, OPEN)
        clear = max(self._let_go_at.position[2] + _RETREAT, body_box(thing).top + 0.03)
        back = -self._let_go_at.rotation[:, 2]
        back = back / back[2] if back[2] < _LEANING else UP
        goal = self._let_go_at.moved((clear + 0.01 - self._let_go_at.position[2]) * back)
        if hand.position[2] < clear:
            return HandTarget(goal, OPEN)
        if self._is_there(view, thing):
            return HandTarget(goal, OPEN, done=True)
        self._waited += 1
        if self._waited > _WAIT_STEPS:
            self._let_go_at, self._pick, self._waited = None, PickUp(phrases.Thing(self._name)), 0
        return HandTarget(goal, OPEN)

    def _is_there(self, view: Instant, thing: SceneObject) -> bool:
        destination = self._destination(view, thing)
        return destination.holds(view.scene, thing) or self._held_once and destination.surrounds(view.scene, thing)


def _has_its_like_elsewhere(view: Instant, thing: SceneObject, destination: Destination) -> bool:
    """Whether the scene has another object of this category that is not at the destination yet."""
    return any(
        other.category == thing.category and other.name != thing.name and not destination.holds(view.scene, other)
        for other in view.scene.objects.values()
    )


def _has_slipped(planned: Transform, now: Transform) -> bool:
    return bool(
        np.linalg.norm(planned.position - now.position) > 0.01 or angle_between(planned.rotation, now.rotation) > 0.15
    )

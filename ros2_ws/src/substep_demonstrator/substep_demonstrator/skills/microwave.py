"""The microwave: put a vessel in through its open side, push its door shut.

Its cavity is so low that a hand pointing down does not fit in. The vessel is taken by the side of its rim that is to
stay outside, the hand leans away from the cavity, and the vessel's foot goes in first.
"""

from __future__ import annotations

import numpy as np

from substep_core.scene import SceneObject
from substep_demonstrator.articulation import limits_of
from substep_demonstrator.boxes import Box, body_box
from substep_demonstrator.controller import CLOSED, OPEN
from substep_demonstrator.destinations import Destination
from substep_demonstrator.frames import UP, Transform, angle_between, pose_of, shortest_turn, turn, yaw
from substep_demonstrator.hand import POINTING_DOWN, TIP_LENGTH, tilted_hand
from substep_demonstrator.skills.reach import reach
from substep_demonstrator.skills.skill import HandTarget, Instant, Opening, Press, load_of
from substep_demonstrator.travel import Traveller

_LEAN = np.radians(60)  # of the hand from pointing down, when it lets go
_MOST_LEAN = np.radians(25)  # of the vessel, which still falls back onto its foot
_OUTSIDE = 0.012  # m between the grip and the plane of the opening
_BEFORE = 0.16  # m from there to where the way in begins
_ASIDE = 0.015  # m from the way in within which the hand goes in
_ALIGNED = 0.12  # rad
_IN_FRONT = 0.15  # m from the way in: there the microwave itself is in the way up
_ON_SILL = 0.02  # m by which the middle of a vessel may be outside of the opening, and the vessel stay on its sill
_DROP = 0.008
_PUSH_LEAD = 0.05
_STALLED_STEPS = 6
_DOOR_GAP = 0.008  # m from LIBERO's region inside to the shut door
_FOOT = 0.75  # radius of a vessel's foot, of that of its outline


def opening_direction(owner: SceneObject) -> np.ndarray:
    """(3,) horizontal unit vector out of a microwave's opening, which is its −y side."""
    return -pose_of(owner.position, owner.quaternion).rotation[:, 1]


def _outline(thing: SceneObject) -> tuple[np.ndarray, float]:
    """Middle (3,) of the vessel's outline at its foot, in its own frame, and the outline's radius."""
    middle = (thing.lower + thing.upper) / 2
    return np.array([middle[0], middle[1], thing.lower[2]]), float(np.min(thing.upper[:2] - thing.lower[:2])) / 2


class PutInside:
    """Carries the held vessel to the opening, moves it in, lets go, backs out, and pushes it deeper if needed."""

    def __init__(self, thing: str, destination: Destination) -> None:
        self._name, self._destination = thing, destination
        self._traveller = Traveller()
        self._goal: Transform | None = None
        self._goes_in = False
        self._stalled = 0
        self._let_go_at: Transform | None = None
        self._opening, self._is_open, self._is_out = Opening(), False, False

    @property
    def let_go(self) -> bool:
        """Whether the hand need not hold the vessel any more."""
        return self._let_go_at is not None

    def stands_in_opening(self, view: Instant) -> bool:
        """Whether the vessel is so far in that it can be pushed further, out of the hand as it is."""
        thing, owner = view.thing(self._name), view.thing(self._destination.owner)
        out, box, front = opening_direction(owner), body_box(thing), body_box(owner)
        outside = float((box.position - front.position) @ out) - _half_along(front, out)
        return outside < _ON_SILL and box.bottom > self._destination.floor - _DROP

    def leave(self, view: Instant) -> HandTarget:
        """Lets go of it where it is; what ``step`` does next is to push it in."""
        self._let_go_at = view.hand.pose
        return HandTarget(self._let_go_at, OPEN)

    def step(self, view: Instant) -> HandTarget:
        thing, owner = view.thing(self._name), view.thing(self._destination.owner)
        out = opening_direction(owner)
        if self._let_go_at is None:
            return self._carry(view, thing, owner, out)
        if not self._is_out:
            return self._back_out(view)
        hand = view.hand.pose
        if not self._destination.holds(view.scene, thing) or not self._is_behind_door(thing, out):
            return self._push(view, thing, out)
        away = Transform(hand.position + 0.06 * out + 0.02 * UP, hand.rotation)
        return HandTarget(away, CLOSED, done=self._is_clear(hand, thing, out))

    def _carry(self, view: Instant, thing: SceneObject, owner: SceneObject, out: np.ndarray) -> HandTarget:
        hand = view.hand.pose
        if not self._goes_in:
            self._goal = self._release(view, thing, owner, out)
            return self._approach(view, thing, self._goal, out)
        goal = self._goal
        offset = hand.position - goal.position
        self._stalled = self._stalled + 1 if view.is_slow else 0
        if np.linalg.norm(offset) < 0.01 or self._stalled > _STALLED_STEPS:
            self._let_go_at = hand
            return HandTarget(hand, OPEN)
        along = max(0.0, float(offset @ out) - 0.04)
        return HandTarget(Transform(goal.position + along * out, goal.rotation), CLOSED)

    def _approach(self, view: Instant, thing: SceneObject, goal: Transform, out: np.ndarray) -> HandTarget:
        """To where the way in begins, straight out first where something else has brought the hand into the opening.

        Who is already on the way in, as a policy may be, goes on from there.
        """
        hand = view.hand.pose
        before = Transform(goal.position + _BEFORE * out, goal.rotation)
        offset = hand.position - goal.position
        along = float(offset @ out)
        aside = float(np.linalg.norm(offset - along * out))
        on_the_way = aside < _ASIDE and along < _BEFORE + _ASIDE
        self._goes_in = on_the_way and angle_between(hand.rotation, goal.rotation) < _ALIGNED
        if aside < _IN_FRONT and along < _BEFORE - 0.05 and not self._goes_in:
            return HandTarget(Transform(hand.position + 0.06 * out, hand.rotation), CLOSED)
        obstacles = view.obstacles(thing.name)
        return HandTarget(self._traveller.waypoint(hand, before, obstacles, load_of(thing, hand)), CLOSED)

    def _release(self, view: Instant, thing: SceneObject, owner: SceneObject, out: np.ndarray) -> Transform:
        """Where the hand lets go: just outside of the opening, leaning, the vessel's foot above the floor inside."""
        hand = view.hand.pose
        frame = pose_of(thing.position, thing.quaternion)
        held = hand.inverse() @ frame
        foot, radius = _outline(thing)
        side = (hand.position - frame.apply(foot)) * [1, 1, 0]
        upright = shortest_turn(frame.rotation[:, 2], UP)
        turned = yaw(float(np.arctan2(out[1], out[0]) - np.arctan2(side[1], side[0]))) @ upright @ frame.rotation
        tilt = float(np.arccos(np.clip(-(turned @ held.rotation.T)[2, 2], -1, 1)))
        leaning = turn(np.cross(UP, out), float(np.clip(_LEAN - tilt, 0, _MOST_LEAN))) @ turned
        rotation = leaning @ held.rotation.T
        angles = np.radians(np.arange(0, 360, 30))
        circle = foot + _FOOT * radius * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
        from_grip = (Transform(np.zeros(3), rotation) @ held).apply(np.vstack([foot, circle]))
        front, sideways = body_box(owner), np.cross(UP, out)
        depth = float(front.position @ out) + _half_along(front, out) + _OUTSIDE
        aside = _opening_middle(view, owner) @ sideways - from_grip[0] @ sideways
        position = depth * out + aside * sideways
        position[2] = self._destination.floor + _DROP - from_grip[:, 2].min()
        return Transform(position, rotation)

    def _back_out(self, view: Instant) -> HandTarget:
        hand = view.hand.pose
        self._is_open = self._is_open or self._opening.open(view.hand.opening)
        if not self._is_open:
            return HandTarget(self._let_go_at, OPEN)
        approach = self._let_go_at.rotation[:, 2]
        self._is_out = float(np.linalg.norm(hand.position - self._let_go_at.position)) > 0.09
        return HandTarget(Transform(self._let_go_at.position - 0.12 * approach, self._let_go_at.rotation), OPEN)

    def _push(self, view: Instant, thing: SceneObject, out: np.ndarray) -> HandTarget:
        """With closed fingers against the vessel's side."""
        hand, box = view.hand.pose, body_box(thing)
        near = box.position + (_half_along(box, out) + TIP_LENGTH) * out
        goal = Transform(near, tilted_hand(-out, _LEAN, np.cross(UP, out)))
        offset = hand.position - near
        if np.linalg.norm(offset - (offset @ out) * out) < 0.03 and offset @ out < 0.03:
            return HandTarget(Transform(near + (offset @ out - _PUSH_LEAD) * out, goal.rotation), CLOSED)
        return HandTarget(reach(view, self._traveller, goal, 0.1, thing.name), CLOSED)

    def _is_behind_door(self, thing: SceneObject, out: np.ndarray) -> bool:
        """Whether nothing of the vessel stands in the door's way."""
        box, area = body_box(thing), self._destination.area
        return float((box.position - area.position) @ out) + _half_along(box, out) < _half_along(area, out) + _DOOR_GAP

    def _is_clear(self, hand: Transform, thing: SceneObject, out: np.ndarray) -> bool:
        box = body_box(thing)
        return float((hand.position - box.position) @ out) > _half_along(box, out) + 0.06


def _opening_middle(view: Instant, owner: SceneObject) -> np.ndarray:
    """(3,) m: middle of the opening, which is as wide as the door; beside it are the controls."""
    door = next(joint for joint in view.scene.joints.values() if joint.object == owner.name)
    across = pose_of(owner.position, owner.quaternion).rotation[:, 0]
    return door.anchor + (door.lower[0] + door.upper[0]) / 2 * across


class CloseMicrowave:
    """Sweeps the door shut from behind with closed fingers, at the height where the palm passes over it.

    Presses on when it is shut.
    """

    _RADIUS = 0.17  # m from the hinge
    _BELOW_TOP = 0.018

    def __init__(self, joint: str) -> None:
        self._joint = joint
        self._traveller = Traveller()
        self._press = Press()
        self._shut_at: Transform | None = None

    def step(self, view: Instant) -> HandTarget:
        joint, hand = view.scene.joints[self._joint], view.hand.pose
        door = pose_of(joint.body_position, joint.body_quaternion)
        if self._shut_at is not None or self._press.is_over(limits_of(view.scene, joint).is_at_rest(joint.position)):
            return self._back_off(hand, door)
        height = joint.upper[2] - self._BELOW_TOP
        here = door.inverse().apply(hand.position)
        before = np.array([self._RADIUS, joint.lower[1] - 0.045, height])
        behind = abs(here[0] - self._RADIUS) < 0.05 and abs(here[2] - height) < 0.02 and here[1] < joint.upper[1] + 0.03
        if behind and here[1] > joint.lower[1] - 0.08:
            return HandTarget(
                Transform(door.apply(np.array([self._RADIUS, here[1] + 0.05, height])), POINTING_DOWN), CLOSED
            )
        start = Transform(door.apply(before), POINTING_DOWN)
        return HandTarget(self._traveller.waypoint(hand, start, view.obstacles()), CLOSED)

    def _back_off(self, hand: Transform, door: Transform) -> HandTarget:
        if self._shut_at is None:
            self._shut_at = hand
        goal = Transform(self._shut_at.position - 0.09 * door.rotation[:, 1] + 0.03 * UP, hand.rotation)
        done = float(np.linalg.norm(hand.position - self._shut_at.position)) > 0.06
        return HandTarget(goal, OPEN, done=done)


def _half_along(box: Box, direction: np.ndarray) -> float:
    return float(np.abs(box.rotation.T @ direction) @ box.half_size)

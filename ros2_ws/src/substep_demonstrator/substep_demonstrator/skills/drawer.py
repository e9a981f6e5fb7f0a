"""Open a drawer by its handle; close it by pushing its front."""

from __future__ import annotations

import numpy as np

from substep_core.scene import SceneJoint
from substep_demonstrator.articulation import Drawer, drawer_of, limits_of
from substep_demonstrator.controller import CLOSED, OPEN
from substep_demonstrator.frames import UP, Transform, angle_between
from substep_demonstrator.hand import TIP_LENGTH, tilted_hand
from substep_demonstrator.skills.reach import reach
from substep_demonstrator.skills.skill import Grip, HandTarget, Instant, Opening, Press
from substep_demonstrator.travel import Traveller

_PULL_TILT = np.radians(80)
_PUSH_TILT = np.radians(45)
_AT_HANDLE = 0.012
_OPEN_ENOUGH = 0.07
_EMPTY = 0.006  # opening of a hand that holds nothing
_PULL_LEAD = 0.04  # m
_BEYOND = 0.006  # m past LIBERO's limit for an open drawer


class OpenDrawer:
    """Takes the handle between two fingers, one above and one below, and pulls."""

    def __init__(self, joint: str) -> None:
        self._traveller = Traveller()
        self._joint = joint
        self._grip: Grip | None = None
        self._pulls = False
        self._released_at: Transform | None = None
        self._opening, self._is_open = Opening(), False

    def step(self, view: Instant) -> HandTarget:
        joint = view.scene.joints[self._joint]
        drawer, limits, hand = drawer_of(joint), limits_of(view.scene, joint), view.hand.pose
        if limits.is_active(joint.position, _BEYOND) or self._released_at is not None:
            return self._back_off(view, drawer, is_open=limits.is_active(joint.position))
        goal = Transform(drawer.handle, tilted_hand(-drawer.out, _PULL_TILT, drawer.out))
        if self._grip is not None:
            return self._pull(view, drawer, goal)
        if view.hand.opening < _OPEN_ENOUGH:
            return HandTarget(
                Transform(hand.position + 0.05 * drawer.out * self._is_at(hand, goal, 0.08), hand.rotation), OPEN
            )
        if self._is_at(hand, goal, _AT_HANDLE) and angle_between(hand.rotation, goal.rotation) < 0.2:
            self._grip, self._pulls = Grip(), False
        return HandTarget(reach(view, self._traveller, goal, 0.09, joint.object), OPEN)

    def _is_at(self, hand: Transform, goal: Transform, distance: float) -> bool:
        return bool(np.linalg.norm(hand.position - goal.position) < distance)

    def _pull(self, view: Instant, drawer: Drawer, goal: Transform) -> HandTarget:
        """Closes first; lets go and reaches again when the handle has slipped out of the fingers."""
        self._pulls = self._pulls or self._grip.close(view.hand.opening)
        if self._pulls and (view.hand.opening < _EMPTY or not self._is_at(view.hand.pose, goal, 0.035)):
            self._grip = None
            return HandTarget(view.hand.pose, OPEN)
        return HandTarget(
            Transform(goal.position + (_PULL_LEAD if self._pulls else 0) * drawer.out, goal.rotation), CLOSED
        )

    def _back_off(self, view: Instant, drawer: Drawer, is_open: bool) -> HandTarget:
        hand = view.hand.pose
        if self._released_at is None:
            self._released_at, self._opening, self._is_open = hand, Opening(), False
        self._is_open = self._is_open or self._opening.open(view.hand.opening)
        if not self._is_open:
            return HandTarget(self._released_at, OPEN)
        if not is_open:
            self._released_at, self._grip = None, None
            return HandTarget(hand, OPEN)
        clear = float((hand.position - self._released_at.position) @ drawer.out)
        goal = Transform(self._released_at.position + 0.08 * drawer.out + 0.03 * UP, hand.rotation)
        return HandTarget(goal, OPEN, done=clear > 0.05)


class CloseDrawer:
    """Pushes with closed fingers against the handle until the drawer is shut, presses on, then backs off."""

    def __init__(self, joint: str) -> None:
        self._traveller = Traveller()
        self._joint = joint
        self._press = Press()
        self._shut_at: Transform | None = None

    def step(self, view: Instant) -> HandTarget:
        joint = view.scene.joints[self._joint]
        drawer, limits, hand = drawer_of(joint), limits_of(view.scene, joint), view.hand.pose
        if self._press.is_over(limits.is_at_rest(joint.position)):
            return self._back_off(view, joint, drawer)
        self._shut_at = None
        sideways = np.cross(UP, drawer.out)
        rotation = tilted_hand(-drawer.out, _PUSH_TILT, sideways)
        front = drawer.handle + (0.008 + 0.004 + TIP_LENGTH) * drawer.out
        goal = Transform(front, rotation)
        target = reach(view, self._traveller, goal, 0.1, joint.object)
        offset = hand.position - front
        sideways_off = np.linalg.norm(offset - (offset @ drawer.out) * drawer.out)
        if sideways_off < 0.02 and offset @ drawer.out < 0.02 and angle_between(hand.rotation, rotation) < 0.25:
            target = Transform(front - 0.06 * drawer.out, rotation)
        return HandTarget(target, CLOSED)

    def _back_off(self, view: Instant, joint: SceneJoint, drawer: Drawer) -> HandTarget:
        hand = view.hand.pose
        if self._shut_at is None:
            self._shut_at = hand
        clear = float(np.linalg.norm(hand.position - self._shut_at.position))
        far = float((hand.position - drawer.handle) @ drawer.out) > 0.1
        goal = Transform(self._shut_at.position + 0.08 * drawer.out + 0.04 * UP, hand.rotation)
        return HandTarget(goal, OPEN, done=clear > 0.05 or far)

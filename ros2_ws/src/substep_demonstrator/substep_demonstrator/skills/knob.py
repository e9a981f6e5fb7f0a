"""Turn a stove's knob on or off by its fin."""

from __future__ import annotations

import numpy as np

from substep_core.scene import SceneJoint
from substep_demonstrator.articulation import limits_of
from substep_demonstrator.boxes import joint_box
from substep_demonstrator.controller import CLOSED, OPEN
from substep_demonstrator.frames import Transform, angle_between, pose_of, turn
from substep_demonstrator.hand import pointing_down
from substep_demonstrator.skills.skill import Grip, HandTarget, Instant, Opening
from substep_demonstrator.travel import Traveller

_GRIP_DEPTH = 0.02
_LEAD = 0.5  # rad that the hand is told to turn ahead
_BEYOND = 0.25  # rad past LIBERO's limit


class TurnKnob:
    """``on``: whether to turn it on or off."""

    def __init__(self, joint: str, on: bool) -> None:
        self._traveller = Traveller()
        self._joint, self._on = joint, on
        self._fingers: Grip | None = None
        self._turns = False
        self._released_at: Transform | None = None
        self._opening, self._is_open = Opening(), False

    def step(self, view: Instant) -> HandTarget:
        joint = view.scene.joints[self._joint]
        if self._released_at is not None or self._is_done(view, joint, beyond=True):
            return self._back_off(view, joint)
        goal, hand = self._grip(joint), view.hand.pose
        if self._fingers is not None:
            return self._turn(view, joint, goal)
        is_there = np.linalg.norm(hand.position - goal.position) < 0.008
        if is_there and angle_between(hand.rotation, goal.rotation) < 0.1:
            self._fingers, self._turns = Grip(), False
        return HandTarget(self._traveller.waypoint(hand, goal, view.obstacles(joint.object)), OPEN)

    def _grip(self, joint: SceneJoint) -> Transform:
        """Above the axis, fingers on both sides of the fin, which points along the knob's own y axis."""
        across = pose_of(joint.body_position, joint.body_quaternion).rotation[:, 0]
        height = joint_box(joint).top - _GRIP_DEPTH
        return Transform(np.array([*joint.anchor[:2], height]), pointing_down(np.arctan2(across[1], across[0])))

    def _turn(self, view: Instant, joint: SceneJoint, goal: Transform) -> HandTarget:
        hand = view.hand.pose
        if np.linalg.norm(hand.position - goal.position) > 0.03:
            self._fingers = None
            return HandTarget(hand, OPEN)
        self._turns = self._turns or self._fingers.close(view.hand.opening)
        if not self._turns:
            return HandTarget(Transform(goal.position, hand.rotation), CLOSED)
        forward = limits_of(view.scene, joint).sign * (1 if self._on else -1)
        return HandTarget(Transform(goal.position, turn(joint.axis, forward * _LEAD) @ hand.rotation), CLOSED)

    def _is_done(self, view: Instant, joint: SceneJoint, beyond: bool) -> bool:
        limits = limits_of(view.scene, joint)
        if self._on:
            return limits.is_active(joint.position, _BEYOND if beyond else 0.0)
        return limits.is_at_rest(joint.position)

    def _back_off(self, view: Instant, joint: SceneJoint) -> HandTarget:
        hand = view.hand.pose
        if self._released_at is None:
            self._released_at, self._opening, self._is_open = hand, Opening(), False
        self._is_open = self._is_open or self._opening.open(view.hand.opening)
        if not self._is_open:
            return HandTarget(self._released_at, OPEN)
        if not self._is_done(view, joint, beyond=False):
            self._released_at, self._fingers = None, None
            return HandTarget(hand, OPEN)
        goal = self._released_at.raised(0.09)
        return HandTarget(goal, OPEN, done=hand.position[2] > goal.position[2] - 0.02)

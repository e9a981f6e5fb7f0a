"""Reaching something from the side: over the scene to a point in front of it, then straight in."""

from __future__ import annotations

import numpy as np

from substep_demonstrator.frames import Transform, angle_between
from substep_demonstrator.skills.skill import Instant
from substep_demonstrator.travel import Funnel, Traveller

_LATERAL = 0.02
_AHEAD = 0.04  # m along the line that the hand is led by
_ALIGNED = 0.15
_BEFORE_LINE = Funnel(width=0.02, slope=1.5)


def reach(view: Instant, traveller: Traveller, goal: Transform, distance: float, *without: str) -> Transform:
    """Where to servo to next: along the line to ``goal`` once the hand is on it, else to the line's beginning.

    Args:
        distance: m before the goal at which the line begins, against the hand's approach direction.
        without: objects that are not in the way.
    """
    hand = view.hand.pose
    approach = goal.rotation[:, 2]
    offset = hand.position - goal.position
    along = -float(offset @ approach)
    lateral = float(np.linalg.norm(offset + along * approach))
    if lateral < _LATERAL and along < distance + 0.03 and angle_between(hand.rotation, goal.rotation) < _ALIGNED:
        return Transform(goal.position - max(0.0, along - _AHEAD) * approach, goal.rotation)
    start = Transform(goal.position - distance * approach, goal.rotation)
    return traveller.waypoint(hand, start, view.obstacles(*without), funnel=_BEFORE_LINE)

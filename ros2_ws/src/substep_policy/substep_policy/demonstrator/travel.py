"""Free-space motion: over what is in the way, then down onto the goal like water in a funnel.

The rule is a function of the present state alone, so it can be entered anywhere and follows a goal that moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from substep_policy.demonstrator.frames import Pose
from substep_policy.demonstrator.hand import PALM_DISTANCE, PALM_HALF_WIDTH, TIP_LENGTH
from substep_policy.demonstrator.obstacles import Obstacle

_CLEARANCE = 0.015
_SAMPLE = 0.02
_FINGER_RADIUS = 0.035
_COMMITTED = 0.03  # m from above the goal within which a descent among tall neighbours goes on
_CLIMB = 1.2  # m of height per m of way


@dataclass(frozen=True)
class Load:
    """What the hand carries: how far it hangs below the grip site and reaches sideways from it, m."""

    below: float = TIP_LENGTH
    sideways: float = 0.0


@dataclass(frozen=True)
class Funnel:
    """The last part of the way down: ``slope`` m of height per m of distance beyond ``width``, at most ``height``."""

    width: float = 0.008
    slope: float = 4.0
    height: float = 0.08


def waypoint(hand: Pose, goal: Pose, obstacles: list[Obstacle], load: Load, funnel: Funnel = Funnel()) -> Pose:  # noqa: B008
    """Where to servo to next on the way to ``goal``; it is the goal itself once the hand is right above it."""
    way = goal.position[:2] - hand.position[:2]
    distance = float(np.linalg.norm(way))
    height = goal.position[2] + min(funnel.height, funnel.slope * max(0.0, distance - funnel.width))
    forward = distance
    along, needed = _profile(hand, goal, obstacles, load)
    committed = distance < _COMMITTED and hand.position[2] < needed[-1] - _CLEARANCE - 0.01
    if distance > funnel.width and not committed:
        height = max(height, float(np.max(needed - _CLIMB * np.maximum(along - 0.02, 0))))
        blocked = along[needed > hand.position[2] + 0.01]
        forward = min(distance, max(0.0, float(blocked[0]) - _SAMPLE)) if len(blocked) else distance
    xy = hand.position[:2] + way * (forward / max(distance, 1e-6))
    return Pose(np.array([*xy, height]), goal.rotation)


def _profile(hand: Pose, goal: Pose, obstacles: list[Obstacle], load: Load) -> tuple[np.ndarray, np.ndarray]:
    """Distances (n,) along the way and the height (n,) that the grip site needs there."""
    way = goal.position[:2] - hand.position[:2]
    distance = float(np.linalg.norm(way))
    along = np.linspace(0, distance, max(2, int(distance / _SAMPLE) + 1))
    points = hand.position[:2] + np.outer(along / max(distance, 1e-6), way)
    needed = np.full(len(along), -np.inf)
    for obstacle in obstacles:
        gap = _distance_to_footprint(points, obstacle)
        top = obstacle.box.top + _CLEARANCE
        low = np.where(gap < _FINGER_RADIUS + load.sideways, top + load.below, -np.inf)
        palm = np.where(gap < PALM_HALF_WIDTH, top - PALM_DISTANCE, -np.inf)
        needed = np.maximum(needed, np.maximum(low, palm))
    return along, needed


def _distance_to_footprint(points: np.ndarray, obstacle: Obstacle) -> np.ndarray:
    """(n,) horizontal m from the (n, 2) points to the world-aligned outline of the box."""
    centre, half = obstacle.box.position[:2], obstacle.box.world_half_size[:2]
    return np.linalg.norm(np.maximum(np.abs(points - centre) - half, 0), axis=1)

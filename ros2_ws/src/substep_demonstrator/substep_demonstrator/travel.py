"""Free-space motion: over what is in the way, then down onto the goal like water in a funnel.

The rule depends on the present state (and on where a climb began), so it can be entered anywhere and follows a goal
that moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from substep_demonstrator.frames import Transform
from substep_demonstrator.hand import PALM_DISTANCE, TIP_LENGTH
from substep_demonstrator.obstacles import Obstacle

_CLEARANCE = 0.015
_CARRYING_CLEARANCE = 0.035  # who learns from this stays within centimetres of it, and what is knocked over stays so
_NEAR = 0.06  # m from above the goal within which the smaller clearance must do, for a drawer has little room
_SAMPLE = 0.02
_FINGER_RADIUS = 0.035
_PALM_REACH = 0.065  # of the discs along the palm's width
_PALM_RADIUS = 0.04
_COMMITTED = 0.03  # m from above the goal within which a descent among tall neighbours goes on
_CLIMB = 1.2  # m of height per m of way


@dataclass(frozen=True)
class Load:
    """What moves with the grip site: ``below`` m under it, and a disc ``radius`` m around ``offset`` (2,) m from it."""

    below: float = TIP_LENGTH
    offset: np.ndarray = field(default_factory=lambda: np.zeros(2))
    radius: float = _FINGER_RADIUS


@dataclass(frozen=True)
class Funnel:
    """The last part of the way down: ``slope`` m of height per m of distance beyond ``width``, at most ``height``."""

    width: float = 0.008
    slope: float = 4.0
    height: float = 0.08


class Traveller:
    """Leads the hand to goals, one waypoint for each view."""

    def __init__(self) -> None:
        self._climbs_from: Transform | None = None

    def waypoint(
        self,
        hand: Transform,
        goal: Transform,
        obstacles: list[Obstacle],
        load: Load | None = None,
        funnel: Funnel | None = None,
    ) -> Transform:
        """Where to servo to next on the way to ``goal``; it is the goal itself once the hand is right above it."""
        clearance = _CLEARANCE if load is None else _CARRYING_CLEARANCE  # on the way, not at its end
        load, funnel = load or Load(), funnel or Funnel()
        way = goal.position[:2] - hand.position[:2]
        distance = float(np.linalg.norm(way))
        height = goal.position[2] + min(funnel.height, funnel.slope * max(0.0, distance - funnel.width))
        along, needed = _profile(hand, goal, obstacles, load, clearance)
        committed = distance < _COMMITTED and hand.position[2] < needed[-1] - _CLEARANCE - 0.01
        if distance <= funnel.width or committed:
            self._climbs_from = None
            return Transform(np.array([*goal.position[:2], height]), goal.rotation)
        height = max(height, float(np.max(needed - _CLIMB * np.maximum(along - 0.02, 0))))
        blocked = along[needed > hand.position[2] + 0.01]
        free = min(distance, float(blocked[0]) - _SAMPLE) if len(blocked) else distance
        if free <= 0:
            return self._climb(hand, height)
        self._climbs_from = None
        return Transform(np.array([*(hand.position[:2] + way * (free / distance)), height]), goal.rotation)

    def _climb(self, hand: Transform, height: float) -> Transform:
        """Straight up from where the climb began, without turning what may be between its neighbours."""
        if self._climbs_from is None:
            self._climbs_from = hand
        return Transform(np.array([*self._climbs_from.position[:2], height]), self._climbs_from.rotation)


def _profile(
    hand: Transform, goal: Transform, obstacles: list[Obstacle], load: Load, clearance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distances (n,) along the way and the height (n,) that the grip site needs there."""
    way = goal.position[:2] - hand.position[:2]
    distance = float(np.linalg.norm(way))
    along = np.linspace(0, distance, max(2, int(distance / _SAMPLE) + 1))
    points = hand.position[:2] + np.outer(along / max(distance, 1e-6), way)
    if not obstacles:
        return along, np.full(len(along), -np.inf)
    centres = np.array([obstacle.box.position[:2] for obstacle in obstacles])
    halves = np.array([obstacle.box.world_half_size[:2] for obstacle in obstacles])
    spare = np.where(distance - along > _NEAR, clearance, _CLEARANCE)
    tops = np.array([obstacle.box.top for obstacle in obstacles]) + spare[:, None]
    palm = [side * _PALM_REACH * each.rotation[:2, 0] for each in (hand, goal) for side in (-1, 0, 1)]
    discs = np.stack([points + offset for offset in (load.offset, np.zeros(2), *palm)])
    gaps = np.linalg.norm(np.maximum(np.abs(discs[:, :, None] - centres) - halves, 0), axis=-1)
    at_palm = gaps[2:].min(axis=0) < _PALM_RADIUS
    heights = [
        np.where(gaps[0] < load.radius, tops + load.below, -np.inf),
        np.where(gaps[1] < _FINGER_RADIUS, tops + TIP_LENGTH, -np.inf),
        np.where(at_palm, tops - PALM_DISTANCE, -np.inf),
    ]
    return along, np.max(heights, axis=(0, 2))

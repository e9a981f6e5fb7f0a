"""Base of all skills: grounded target, waypoints, effect check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from substep_core.scene import SceneObject, SceneState
from substep_demonstrator.boxes import body_box
from substep_demonstrator.controller import Pace
from substep_demonstrator.frames import Transform, angle_between
from substep_demonstrator.hand import Hand
from substep_demonstrator.obstacles import Obstacle, find_obstacles
from substep_demonstrator.robot import find_shoulder
from substep_demonstrator.travel import Load


@dataclass(frozen=True)
class Instant:
    """One instant: the scene, the hand, and how far (3,) m the hand moved in the last control step."""

    scene: SceneState
    hand: Hand
    motion: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def thing(self, name: str) -> SceneObject:
        return self.scene.objects[name]

    def obstacles(self, *without: str) -> list[Obstacle]:
        return find_obstacles(self.scene, frozenset(without))

    @property
    def shoulder(self) -> np.ndarray | None:
        return find_shoulder(self.scene)

    @property
    def is_slow(self) -> bool:
        return float(np.linalg.norm(self.motion)) < 0.004


class Grip:
    """Counts the steps of closing the fingers and tells when they have come to rest on something, or on each other."""

    _MOST_STEPS = 20
    _STILL = 0.0008  # m of opening per step

    def __init__(self) -> None:
        self._steps = self._still_steps = 0
        self._opening = np.inf

    def close(self, opening: float) -> bool:
        """One step of closing; whether the fingers rest."""
        self._still_steps = self._still_steps + 1 if self._opening - opening < self._STILL else 0
        self._opening = opening
        self._steps += 1
        return self._steps > self._MOST_STEPS or self._still_steps > 2


class Opening:
    """Counts the steps of opening the fingers and tells when they are open, or come to rest against a wall."""

    ENOUGH = 0.055  # m
    _MOST_STEPS = 12
    _STILL = 0.0005

    def __init__(self) -> None:
        self._steps = 0
        self._opening = -np.inf

    def open(self, opening: float) -> bool:
        """One step of opening; whether the hand may leave."""
        still = opening - self._opening < self._STILL
        self._opening = opening
        self._steps += 1
        return opening > self.ENOUGH or self._steps > 4 and still or self._steps > self._MOST_STEPS


class Press:
    """Counts the steps for which a part is pressed on although it is shut, together: it may spring back in between.

    A policy that learns from it turns back a little too early or too late: then too early is late enough.
    """

    _STEPS = 8

    def __init__(self) -> None:
        self._steps = 0

    def is_over(self, is_shut: bool) -> bool:
        """One step; whether the hand may leave."""
        self._steps += is_shut
        return is_shut and self._steps > self._STEPS


class Standstill:
    """Tells when the hand has stayed about where it is for a while, so that something must be in its way."""

    _STEPS = 16
    _DISTANCE = 0.012  # m
    _ANGLE = 0.1  # rad

    def __init__(self) -> None:
        self._poses: list[Transform] = []

    def is_stuck(self, hand: Transform) -> bool:
        """Looks at one more view; starts anew once it has said yes."""
        self._poses.append(hand)
        if len(self._poses) <= self._STEPS:
            return False
        first = self._poses.pop(0)
        if np.linalg.norm(hand.position - first.position) > self._DISTANCE:
            return False
        if angle_between(hand.rotation, first.rotation) > self._ANGLE:
            return False
        self._poses = []
        return True


@dataclass(frozen=True)
class HandTarget:
    """Servo the hand to ``target``, no faster than ``pace``; ``done`` once the substep's effect holds.

    ``gripper``: OPEN or CLOSED.
    """

    target: Transform
    gripper: float
    pace: Pace = Pace()
    done: bool = False


class Skill(Protocol):
    """A motion in progress. It keeps only what the view does not show, such as grasps that failed."""

    def step(self, view: Instant) -> HandTarget:
        """Raises ValueError: what the substep names is not in the scene."""


def load_of(thing: SceneObject, hand: Transform) -> Load:
    """The space that a held object takes up around the grip site."""
    box = body_box(thing)
    flat = np.sort(box.world_half_size[:2])
    return Load(
        below=max(Load.below, float(hand.position[2] - box.bottom)),
        offset=box.position[:2] - hand.position[:2],
        radius=float(flat[1]) + 0.01,
    )

"""Ground truth of the simulated world: what SceneState.msg carries, without ROS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SceneObject:
    """A body: pose in the world frame (m, quaternion xyzw), corners of its collision geometry in its own frame (m)."""

    name: str
    category: str
    movable: bool
    position: np.ndarray
    quaternion: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True)
class SceneJoint:
    """A drawer, door or knob: joint position (rad or m), axis in the world frame, and the body that moves with it."""

    name: str
    object: str
    position: float
    anchor: np.ndarray
    axis: np.ndarray
    body_position: np.ndarray
    body_quaternion: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True)
class SceneRegion:
    """A named place: world pose (m, quaternion xyzw) and half size (m)."""

    name: str
    object: str
    position: np.ndarray
    quaternion: np.ndarray
    half_size: np.ndarray


@dataclass(frozen=True)
class SceneState:
    """What a scripted expert may look at; ``predicates`` maps "in alphabet_soup_1 basket_1_contain_region" -> holds."""

    objects: dict[str, SceneObject]
    joints: dict[str, SceneJoint]
    regions: dict[str, SceneRegion]
    grasped: frozenset[str]
    predicates: dict[str, bool]

"""Oriented boxes and their distances, for collision checks of the hand."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from substep_core.scene import SceneJoint, SceneObject, SceneRegion
from substep_demonstrator.frames import UP, Transform, pose_of


@dataclass(frozen=True)
class Box:
    """position (3,) of the centre and rotation (3, 3) in the world frame, half size (3,) along its own axes, m."""

    position: np.ndarray
    rotation: np.ndarray
    half_size: np.ndarray

    @property
    def world_half_size(self) -> np.ndarray:
        """(3,) half size of the world-aligned box around it."""
        return np.abs(self.rotation) @ self.half_size

    @property
    def top(self) -> float:
        return float(self.position[2] + self.world_half_size[2])

    @property
    def bottom(self) -> float:
        return float(self.position[2] - self.world_half_size[2])

    def contains(self, point: np.ndarray, margin: float = 0.0) -> bool:
        return bool(np.all(np.abs(self.rotation.T @ (point - self.position)) <= self.half_size + margin))

    def covers(self, point: np.ndarray, margin: float = 0.0) -> bool:
        """Whether a (2,) point lies above or below the box."""
        offset = np.array([*(point - self.position[:2]), 0.0])
        upright = np.abs(self.rotation[2]) > 0.7
        return bool(np.all(upright | (np.abs(self.rotation.T @ offset) <= self.half_size + margin)))


def box_from_corners(frame: Transform, lower: np.ndarray, upper: np.ndarray) -> Box:
    """The box between two (3,) corners given in ``frame``."""
    return Box(frame.apply((lower + upper) / 2), frame.rotation, (upper - lower) / 2)


def body_box(thing: SceneObject) -> Box:
    return box_from_corners(pose_of(thing.position, thing.quaternion), thing.lower, thing.upper)


def joint_box(joint: SceneJoint) -> Box:
    """The box of the drawer, door or knob that the joint moves."""
    return box_from_corners(pose_of(joint.body_position, joint.body_quaternion), joint.lower, joint.upper)


def region_box(region: SceneRegion) -> Box:
    frame = pose_of(region.position, region.quaternion)
    return Box(frame.position, frame.rotation, region.half_size)


def walls(outer: Box, inner: Box, open_directions: tuple[np.ndarray, ...] = (UP,)) -> list[Box]:
    """The six slabs of ``outer`` around ``inner``, less those on the sides that ``open_directions`` (world) point to.

    Both boxes have parallel axes, in any order.
    """
    to_outer = np.abs(outer.rotation.T @ inner.rotation)
    half = to_outer @ inner.half_size
    centre = outer.rotation.T @ (inner.position - outer.position)
    slabs = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            outward = side * outer.rotation[:, axis]
            if any(outward @ direction > 0.7 for direction in open_directions):
                continue
            lower, upper = -outer.half_size.copy(), outer.half_size.copy()
            inside = np.clip(centre[axis] + side * half[axis], lower[axis], upper[axis])
            (lower if side > 0 else upper)[axis] = inside
            slabs.append(box_from_corners(Transform(outer.position, outer.rotation), lower, upper))
    return slabs


@dataclass(frozen=True)
class BoxSet:
    """n boxes as arrays: positions (n, 3), rotations (n, 3, 3), half sizes (n, 3)."""

    positions: np.ndarray
    rotations: np.ndarray
    half_sizes: np.ndarray

    @staticmethod
    def of(boxes: list[Box]) -> BoxSet:
        return BoxSet(
            np.array([box.position for box in boxes]).reshape(-1, 3),
            np.array([box.rotation for box in boxes]).reshape(-1, 3, 3),
            np.array([box.half_size for box in boxes]).reshape(-1, 3),
        )

    @staticmethod
    def joined(sets: list[BoxSet]) -> BoxSet:
        return BoxSet(*(np.concatenate(arrays) for arrays in zip(*(astuple(each) for each in sets), strict=True)))

    def near(self, point: np.ndarray, distance: float) -> BoxSet:
        """Those whose world-aligned outline comes within ``distance`` m of a (2,) point, seen from above."""
        reach = np.einsum("nij,nj->ni", np.abs(self.rotations), self.half_sizes)[:, :2]
        gap = np.linalg.norm(np.maximum(np.abs(self.positions[:, :2] - point) - reach, 0), axis=1)
        return BoxSet(*(array[gap < distance] for array in (self.positions, self.rotations, self.half_sizes)))

    def depths_of(self, others: BoxSet) -> np.ndarray:
        """(m,) how deep each of the others reaches into any of these boxes in m; below 0: it stays that far clear."""
        return Separation(self, others).depths(np.zeros((1, 3)))[0]


class Separation:
    """How deep m boxes reach into n others wherever the m are moved without being turned.

    By separating axes: the faces' normals of both boxes and the cross products of their edges. These and the boxes'
    reach along them do not change as a box is moved.
    """

    def __init__(self, standing: BoxSet, moved: BoxSet) -> None:
        self._shape = (len(moved.positions), len(standing.positions))
        own = np.swapaxes(moved.rotations, 1, 2)[:, None]
        theirs = np.swapaxes(standing.rotations, 1, 2)[None]
        own, theirs = (np.broadcast_to(axes, (*self._shape, 3, 3)) for axes in (own, theirs))
        crosses = np.cross(own[:, :, :, None], theirs[:, :, None, :]).reshape(*self._shape, 9, 3)
        norms = np.linalg.norm(crosses, axis=-1, keepdims=True)
        crosses = np.where(norms > 1e-6, crosses / np.maximum(norms, 1e-6), own[:, :, [0] * 9])
        self._axes = np.concatenate([own, theirs, crosses], axis=2)
        reach = np.abs(self._axes @ moved.rotations[:, None]) @ moved.half_sizes[:, None, :, None]
        reach = reach + np.abs(self._axes @ standing.rotations[None]) @ standing.half_sizes[None, :, :, None]
        offsets = standing.positions[None] - moved.positions[:, None]
        self._reach = reach[..., 0]
        self._distance = (self._axes @ offsets[..., None])[..., 0]

    def depths(self, shifts: np.ndarray) -> np.ndarray:
        """(t, m) depth in m of each moved box after each of the (t, 3) shifts; -inf where nothing stands."""
        if 0 in self._shape:
            return np.full((len(shifts), self._shape[0]), -np.inf)
        moved = np.moveaxis(self._axes @ shifts.T, -1, 0)
        return np.max(np.min(self._reach - np.abs(self._distance - moved), axis=-1), axis=-1)

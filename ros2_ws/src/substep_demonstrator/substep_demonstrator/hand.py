"""The Panda hand: where it is, how wide it is open, and which space it takes up.

The frame is that of the grip site between the finger pads: x along which the fingers close, z out of the palm,
so that a hand pointing straight down has z = (0, 0, −1). Sizes are measured off robosuite's Panda gripper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from substep_core.contract import RobotContract, StateQuantity
from substep_demonstrator.boxes import BoxSet
from substep_demonstrator.frames import UP, Transform, rotation_vector, turn, yaw

FINGER_TRAVEL = 0.04  # of one finger, from closed to open
MAX_OPENING = 2 * FINGER_TRAVEL
TIP_LENGTH = 0.0092  # from the grip site to the ends of the fingers
PALM_DISTANCE = 0.031  # from the grip site back to the palm
PALM_HALF_WIDTH = 0.102
PALM_HALF_DEPTH = 0.032
FINGER_WIDTH = 0.0265
FINGER_DEPTH = 0.021
_PALM_BACK = 0.123  # from the grip site to the flange
_WRIST_BACK = 0.2
_WRIST_RADIUS = 0.05
POINTING_DOWN = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


@dataclass(frozen=True)
class Hand:
    """pose of the grip site in the world, ``opening`` the distance between the pads in m."""

    pose: Transform
    opening: float


class HandReader:
    """Reads the hand off a robot's proprioception.

    Raises:
        ValueError: the robot has no single end effector with a gripper.
    """

    def __init__(self, robot: RobotContract) -> None:
        quantities = (StateQuantity.POSITION, StateQuantity.ROTATION, StateQuantity.GRIPPER_POSITION)
        groups = [robot.state_groups(quantity) for quantity in quantities]
        if any(len(found) != 1 for found in groups):
            raise ValueError(f"the demonstrator needs one hand with a gripper: robot {robot.name} has none, or several")
        self._position, self._rotation, self._fingers = (robot.state_slice(found) for (found,) in groups)
        self._site_in_group = Rotation.from_quat(groups[1][0].source.turned_by).inv().as_matrix()

    def __call__(self, proprio: np.ndarray) -> Hand:
        values = proprio.astype(float)
        rotation = Rotation.from_rotvec(values[self._rotation]).as_matrix() @ self._site_in_group
        return Hand(Transform(values[self._position], rotation), float(np.abs(values[self._fingers]).sum()))


def pointing_down(closing_angle: float) -> np.ndarray:
    """(3, 3) of a hand pointing down whose fingers close along (cos, sin) of ``closing_angle``.

    The two hands that close along the same line differ by half a turn; this is the one that the arm reaches with
    its wrist closest to the middle of its range.
    """
    from_neutral = closing_angle % np.pi - np.pi / 2
    return yaw(from_neutral) @ POINTING_DOWN


def tilted_hand(inwards: np.ndarray, tilt: float, closing: np.ndarray) -> np.ndarray:
    """(3, 3) of a hand tilted by ``tilt`` rad from pointing down towards the horizontal unit vector ``inwards``.

    ``closing``: horizontal direction that the fingers would close along if the hand pointed down.
    """
    return turn(np.cross(inwards, UP), tilt) @ pointing_down(np.arctan2(closing[1], closing[0]))


def turn_from_neutral(rotation: np.ndarray) -> float:
    """rad between a hand rotation and the one that the arm starts with."""
    return float(np.linalg.norm(rotation_vector(rotation @ POINTING_DOWN.T)))


def hand_boxes(poses: list[Transform], opening: float) -> BoxSet:
    """What the hand fills at each pose, four boxes a pose: two fingers, the palm and the wrist behind it."""
    inner, outer = opening / 2 - 0.001, opening / 2 + FINGER_WIDTH
    corners = np.array(
        (
            ((-outer, -FINGER_DEPTH / 2, -PALM_DISTANCE), (-inner, FINGER_DEPTH / 2, TIP_LENGTH)),
            ((inner, -FINGER_DEPTH / 2, -PALM_DISTANCE), (outer, FINGER_DEPTH / 2, TIP_LENGTH)),
            ((-PALM_HALF_WIDTH, -PALM_HALF_DEPTH, -_PALM_BACK), (PALM_HALF_WIDTH, PALM_HALF_DEPTH, -PALM_DISTANCE)),
            ((-_WRIST_RADIUS, -_WRIST_RADIUS, -_WRIST_BACK), (_WRIST_RADIUS, _WRIST_RADIUS, -_PALM_BACK)),
        )
    )
    centres, half_sizes = corners.mean(axis=1), (corners[:, 1] - corners[:, 0]) / 2
    return BoxSet(
        np.concatenate([pose.apply(centres) for pose in poses]),
        np.repeat([pose.rotation for pose in poses], len(corners), axis=0),
        np.tile(half_sizes, (len(poses), 1)),
    )


def hand_depths(poses: list[Transform], opening: float, obstacles: BoxSet) -> np.ndarray:
    """(n,) how deep the hand would reach into the obstacles at each pose, m; at most 0 where it is clear."""
    return obstacles.depths_of(hand_boxes(poses, opening)).reshape(len(poses), -1).max(axis=1)

"""Keyframes: the pose that the end effector is on its way to, an auxiliary target for the backbone.

A keyframe is a timestep at which a motion gets somewhere: the gripper's command is about to change, or the substep
ends (James & Davison 2022 find theirs by gripper and velocity). Far from it all actions look alike, so they say little
about which thing is meant and where it lies; the way to the keyframe says it at every timestep. It is read off the
demonstration, needs no knowledge of the scene, and its head (``training.train.keyframe_head``) is left behind when
training is over. A robot without a gripper, or without an end effector whose position is known, has no keyframes.
"""

from __future__ import annotations

import numpy as np


def keyframe_of(gripper: np.ndarray, is_end: np.ndarray) -> np.ndarray:
    """The first keyframe at or after every timestep.

    Args:
        gripper: (T, G) commands to each gripper, as ``gripper_commands``.
        is_end: (T,) bool, the last timestep of a substep; the episode's last timestep is taken for one.

    Returns:
        (T,) timesteps.
    """
    is_keyframe = gripper_changes(gripper) | is_end
    is_keyframe[-1] = True
    found = np.flatnonzero(is_keyframe)
    return found[np.searchsorted(found, np.arange(len(gripper)))]


def gripper_changes(gripper: np.ndarray) -> np.ndarray:
    """(T, G) commands to each gripper -> (T,) bool, the last timestep before each other command."""
    return np.append((np.diff(np.sign(gripper), axis=0) != 0).any(axis=1), False)


def is_shown(keyframes: np.ndarray, taught: np.ndarray) -> np.ndarray:
    """(T,) bool: the demonstration shows the way from the timestep to its keyframe, without a disturbance in between.

    Args:
        keyframes: (T,) as ``keyframe_of`` gives them; a disturbance's own gripper commands may be among them.
        taught: (T,) bool, False during disturbances.
    """
    disturbed = np.cumsum(~taught)
    return taught & (disturbed[keyframes] == disturbed)

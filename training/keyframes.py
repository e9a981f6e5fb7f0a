"""Keyframes: where the end effector is on its way to, as a second lesson for the backbone.

A keyframe is a timestep at which a motion gets somewhere: the gripper's command is about to change, or the substep
ends (James & Davison 2022 find theirs by gripper and velocity). Far from it all actions look alike, so they say little
about which thing is meant and where it lies; the way to the keyframe says it at every timestep. It is read off the
demonstration, needs no knowledge of the scene, and its head is left behind when training is over.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

UNIT = 0.1  # m: makes the loss about as large as that of normalised actions


def keyframe_of(gripper: np.ndarray, is_end: np.ndarray) -> np.ndarray:
    """The first keyframe at or after every timestep.

    Args:
        gripper: (T,) gripper commands.
        is_end: (T,) bool, the last timestep of a substep; the episode's last timestep is taken for one.

    Returns:
        (T,) timesteps.
    """
    is_keyframe = gripper_changes(gripper) | is_end
    is_keyframe[-1] = True
    found = np.flatnonzero(is_keyframe)
    return found[np.searchsorted(found, np.arange(len(gripper)))]


def gripper_changes(gripper: np.ndarray) -> np.ndarray:
    """(T,) gripper commands -> (T,) bool, the last timestep before each other command."""
    return np.append(np.diff(np.sign(gripper)) != 0, False)


def is_shown(keyframes: np.ndarray, taught: np.ndarray) -> np.ndarray:
    """(T,) bool: the demonstration shows the way from the timestep to its keyframe, without a disturbance in between.

    Args:
        keyframes: (T,) as ``keyframe_of`` gives them; a disturbance's own gripper commands may be among them.
        taught: (T,) bool, False during disturbances.
    """
    disturbed = np.cumsum(~taught)
    return taught & (disturbed[keyframes] == disturbed)


class KeyframeHead(nn.Module):
    """``actions_hidden_states`` (B, C·A, D) -> way to the keyframe (B, 3), in ``UNIT``, base frame."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.way = nn.Linear(hidden_dim, 3)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.way(hidden.mean(1))

    def loss(self, hidden: Tensor, way: Tensor, mask: Tensor) -> Tensor:
        """Mean L1 distance from ``way`` (B, 3) in metres, in ``UNIT``, over the samples in ``mask`` (B,) bool."""
        errors = (self(hidden) - way / UNIT).abs().mean(1)
        return torch.where(mask, errors, 0.0).sum() / mask.sum().clamp(min=1)

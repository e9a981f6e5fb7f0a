"""Gripper commitment: after repeated half-begun grasps the gripper completes the motion that it began."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from substep_core.chunk import Chunk
from substep_core.contract import ActionGroup


class GripperCommitment:
    """Makes the gripper close or open where a policy's chunks put that off again and again.

    A policy that answers with the middle of what it was shown, as one trained with L1 does, can stand still at the
    moment of grasping: every chunk ends with the gripper closing, and the next, asked from the same place, begins by
    opening it once more. After ``patience`` chunks in a row that took back the gripper's motion only to end with it
    again, the next one that does so has the gripper in that position from its first action on.

    Where chunks are asked for before the last one has been played, the gripper has not been commanded yet what that one
    ends with, and never is if the next one takes it back: what was begun is then what the last answer ended with.

    Args:
        patience: chunks that may put the motion off, 0 or more.
        gripper: the action group; place: where its value stands in the action vector.
    """

    def __init__(self, patience: int, gripper: ActionGroup, place: slice) -> None:
        self._patience = patience
        self._middle, self._place = (gripper.opened + gripper.closed) / 2, place.start
        self._put_off = 0
        self._ended: float | None = None  # side that the last answer ended on

    def begin(self) -> None:
        """A substep begins: what was put off in the last one does not count."""
        self._put_off, self._ended = 0, None

    def hold(self, chunk: Chunk, commanded: np.ndarray, goes_on: bool = False) -> Chunk:
        """The chunk, its gripper held to what it began where that was put off too often.

        Args:
            commanded: (A,) with the gripper as last commanded.
            goes_on: the world does not wait for it, so that the last answer may be under way.
        """
        gripper = np.sign(chunk.actions[:, self._place] - self._middle)
        begun = np.sign(commanded[self._place] - self._middle)
        if goes_on and self._ended is not None:
            begun = self._ended
        self._ended = gripper[-1]
        if gripper[0] == begun or gripper[-1] != begun:
            self._put_off = 0
            return chunk
        self._put_off += 1
        if self._put_off <= self._patience:
            return chunk
        actions = chunk.actions.copy()
        actions[gripper != begun, self._place] = actions[-1, self._place]
        return replace(chunk, actions=actions)

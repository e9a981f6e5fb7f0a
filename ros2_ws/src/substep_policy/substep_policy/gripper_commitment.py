"""A gripper that does what it has begun."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from substep_policy.chunk import Chunk
from substep_policy.observation import Observation
from substep_policy.policy import Policy

GRIPPER = -1  # place of the gripper in an action


class GripperCommitment:
    """Another policy, whose gripper closes or opens even though its chunks put that off again and again.

    A policy that answers with the middle of what it was shown, as one trained with L1 does, can stand still at the
    moment of grasping: every chunk ends with the gripper closing, and the next, asked from the same place, begins by
    opening it once more. After ``patience`` chunks in a row that took back the gripper's motion only to end with it
    again, the next one that does so has the gripper in that position from its first action on.

    Args:
        patience: chunks that may put the motion off, 0 or more.
    """

    def __init__(self, policy: Policy, patience: int) -> None:
        if patience < 0:
            raise ValueError(f"gripper patience is {patience}, expected 0 or more chunks")
        self._policy, self._patience = policy, patience
        self._forget()

    def __getattr__(self, name: str) -> Any:
        """Name, device and the like are the policy's own."""
        return getattr(self._policy, name)

    def start_substep(self, instruction: str, task: str) -> None:
        """As the policy's; what the gripper had begun belonged to the last substep."""
        self._forget()
        self._policy.start_substep(instruction, task)

    def predict(self, observation: Observation) -> Chunk:
        """The policy's chunk, its gripper held to what it began where it was put off too often."""
        chunk = self._policy.predict(observation)
        gripper = np.sign(chunk.actions[:, GRIPPER])
        begun, self._begun = self._begun, gripper[-1]
        if gripper[0] == begun or gripper[-1] != begun:
            self._put_off = 0
            return chunk
        self._put_off += 1
        if self._put_off <= self._patience:
            return chunk
        actions = chunk.actions.copy()
        actions[gripper != begun, GRIPPER] = actions[-1, GRIPPER]
        return replace(chunk, actions=actions)

    def _forget(self) -> None:
        self._begun = np.nan  # where the last chunk left the gripper, +1 closed; nothing equals it before the first
        self._put_off = 0

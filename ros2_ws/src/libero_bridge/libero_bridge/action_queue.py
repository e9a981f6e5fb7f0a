"""The chunk being played, action by action, and what the arm does when there is none."""

from __future__ import annotations

import numpy as np

from substep_policy.chunk import Chunk
from substep_policy.observation import ACTION_DIM

GRIPPER_OPEN = -1.0


class ActionQueue:
    """Holds one chunk at a time.

    ``steps_played`` counts the actions taken out of the current or last one; ``gripper`` is as last commanded.
    """

    def __init__(self) -> None:
        self._actions = np.zeros((0, ACTION_DIM), np.float32)
        self.gripper = GRIPPER_OPEN
        self.steps_played = 0

    def __len__(self) -> int:
        """Actions still to be played."""
        return len(self._actions) - self.steps_played

    def load(self, chunk: Chunk) -> None:
        """Raises RuntimeError: the last chunk is neither played out nor dropped."""
        if len(self):
            raise RuntimeError(f"{len(self)} actions are still queued: drop them before another chunk is loaded")
        self._actions = chunk.actions
        self.steps_played = 0

    def next_action(self) -> np.ndarray:
        """(7,) next action of the chunk, or the one that holds the arm."""
        if not len(self):
            return self.hold_action()
        action = self._actions[self.steps_played]
        self.steps_played += 1
        self.gripper = float(action[-1])
        return action

    def hold_action(self) -> np.ndarray:
        """(7,) no motion (zeros are a command: stay here), gripper as it was last commanded."""
        return np.append(np.zeros(ACTION_DIM - 1), self.gripper).astype(np.float32)

    def drop(self) -> int:
        """Forgets what is queued; returns how many actions of the chunk were played."""
        self._actions = self._actions[: self.steps_played]
        return self.steps_played

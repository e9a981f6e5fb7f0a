"""The chunk being played, action by action, and what the robot does when there is none."""

from __future__ import annotations

from collections import deque

import numpy as np

from substep_core.chunk import Chunk
from substep_core.contract import RobotContract, gripper_command, hold_action, initial_action


class ActionQueue:
    """Holds one chunk at a time.

    ``steps_played`` counts the actions taken out of the current or last one; ``last`` (A,) is the newest of them.
    """

    def __init__(self, contract: RobotContract) -> None:
        self._contract = contract
        self._actions = np.zeros((0, contract.action_width), np.float32)
        self._held: np.ndarray | None = None
        self.last = initial_action(contract)
        self._recent = deque([self.last], maxlen=contract.change_steps)
        self.steps_played = 0

    def __len__(self) -> int:
        """Actions still to be played."""
        return len(self._actions) - self.steps_played

    @property
    def recent(self) -> np.ndarray:
        """(N, A) newest commands, those that hold the robot among them; at most ``change_steps`` of the contract."""
        return np.stack(self._recent)

    @property
    def gripper(self) -> float:
        """The first gripper as last commanded: 1 closed, -1 open."""
        return gripper_command(self._contract, self.last)

    def load(self, chunk: Chunk) -> None:
        """Raises RuntimeError: the last chunk is neither played out nor dropped."""
        if len(self):
            raise RuntimeError(f"{len(self)} actions are still queued: drop them before another chunk is loaded")
        self._actions = chunk.actions
        self.steps_played = 0

    def next_action(self, proprio: np.ndarray) -> np.ndarray:
        """(A,) next action of the chunk, or the one that holds the robot.

        Args:
            proprio: (S,) as measured now.
        """
        command = self._take() if len(self) else self.held_action(proprio)
        self._recent.append(command)
        return command

    def held_action(self, proprio: np.ndarray) -> np.ndarray:
        """(A,) what the robot is told while nothing is played, the same until something is."""
        if self._held is None:
            self._held = hold_action(self._contract, self.last, proprio)
        return self._held

    def _take(self) -> np.ndarray:
        self.last = self._actions[self.steps_played]
        self.steps_played += 1
        self._held = None
        return self.last

    def drop(self) -> int:
        """Forgets what is queued; returns how many actions of the chunk were played."""
        self._actions = self._actions[: self.steps_played]
        return self.steps_played

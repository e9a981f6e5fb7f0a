"""The actions being played, one by one, and what the robot does when there are none."""

from __future__ import annotations

from collections import deque

import numpy as np

from substep_core.contract import RobotContract, gripper_command, hold_action, initial_action


class ActionQueue:
    """Holds what is to be played of one chunk at a time.

    ``steps_played`` counts the actions taken since the last ``load``; ``last`` (A,) is the newest of them.
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

    @property
    def left(self) -> np.ndarray:
        """(N, A) still to be played."""
        return self._actions[self.steps_played :]

    @property
    def played(self) -> np.ndarray:
        """(N, A) taken since the last ``load``."""
        return self._actions[: self.steps_played]

    @property
    def expected(self) -> np.ndarray:
        """(N, A) what comes next unless something newer is loaded; of a robot that was held just now, that again."""
        if self._held is None or len(self):
            return self.left
        return np.repeat(self._held[None], self._contract.max_horizon, axis=0)

    def load(self, actions: np.ndarray) -> None:
        """Args: actions: (N, A). Raises RuntimeError: the last ones are neither played out nor dropped."""
        if len(self):
            raise RuntimeError(f"{len(self)} actions are still queued: drop them before others are loaded")
        self._actions = actions
        self.steps_played = 0

    def next_action(self, proprio: np.ndarray) -> np.ndarray:
        """(A,) next action, or the one that holds the robot.

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

    def measure_anew(self) -> None:
        """Others may have moved the robot: it is to stay where it is from now on."""
        self._held = None

    def _take(self) -> np.ndarray:
        self.last = self._actions[self.steps_played]
        self.steps_played += 1
        self._held = None
        return self.last

    def drop(self) -> None:
        """Forgets what is queued; what was played since it was loaded stays in ``played``."""
        self._actions = self._actions[: self.steps_played]

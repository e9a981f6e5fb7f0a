"""Where chunks stand in time: which of their actions have passed, what each still says, and how long answers take."""

from __future__ import annotations

from collections import deque

import numpy as np

from substep_core.chunk_timing import delay_steps

RECENT_ANSWERS = 20
EARLY = 0.2  # of a control step, by which steps and sensors jitter; waiting for the next one would take a whole one


class Timeline:
    """Counts the actions that were played, and lays chunks along them.

    Time in which the robot held does not count: nothing of a chunk's motion has happened meanwhile.

    Args:
        memory: actions that are remembered, as many as a chunk may have.
        period: ns, of a control step.
    """

    def __init__(self, memory: int, period: int) -> None:
        self._period = period
        self._taken: deque[tuple[int, np.ndarray]] = deque(maxlen=memory)  # ns of world time, (A,) of each action
        self._count = 0
        self._chunks: list[tuple[int, np.ndarray]] = []  # count at which the first of these actions comes

    def take(self, stamp: int, action: np.ndarray) -> None:
        """An action (A,) is played. Args: stamp: ns of world time at which its step begins."""
        self._taken.append((stamp, action))
        self._count += 1

    def passed(self, stamp: int) -> int:
        """Actions of a chunk about the observation of ``stamp`` whose steps have passed."""
        return len(self.played_since(stamp))

    def played_since(self, stamp: int) -> list[np.ndarray]:
        """(A,) of each of them, as the robot was told."""
        return [action for taken, action in self._taken if taken >= stamp]

    def has_come_to_rest(self, stamp: int) -> bool:
        """The observation of ``stamp`` is of after the step of the last action that was played."""
        return not self._taken or stamp >= self._taken[-1][0] + (1 - EARLY) * self._period

    def is_ahead_of(self, now: int) -> bool:
        """World time has been set back by more than a control step since the last action was played.

        By less, what has passed of a chunk that is still to come is better known than forgotten.

        Args:
            now: ns of world time.
        """
        return bool(self._taken) and self._taken[-1][0] > now + self._period

    def add(self, ahead: np.ndarray) -> None:
        """A chunk has come of which (N, A) is still ahead."""
        self._chunks.append((self._count, ahead))

    @property
    def ahead(self) -> list[np.ndarray]:
        """(N, A), N ≥ 1 of each chunk that has actions ahead, the oldest first."""
        self._chunks = [(first, actions) for first, actions in self._chunks if first + len(actions) > self._count]
        return [actions[self._count - first :] for first, actions in self._chunks]

    def forget_chunks(self) -> None:
        """What was said is not to be done any more."""
        self._chunks.clear()

    def turn_back(self) -> None:
        """World time has jumped back: stamps from before mean nothing."""
        self._taken.clear()
        self._chunks.clear()


class AnswerDelay:
    """Control steps that begin between an observation and the chunk that answers it: the longest of the newest.

    Args:
        rate: control steps a second.
        stated: s, what is known before anything was measured; it counts as one answer.
    """

    def __init__(self, rate: float, stated: float) -> None:
        self._rate = rate
        self._recent = deque([delay_steps(stated, rate)], maxlen=RECENT_ANSWERS)

    def add(self, age: float) -> None:
        """A chunk has come, ``age`` s of world time after its observation."""
        self._recent.append(delay_steps(age, self._rate))

    @property
    def steps(self) -> int:
        return max(self._recent)

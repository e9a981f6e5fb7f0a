"""An episode: what it begins with, and where it stands."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Placement(enum.StrEnum):
    """Where objects start."""

    BENCHMARK = "benchmark"  # as in the task's own initial states
    WIDENED = "widened"  # drawn at random from regions enlarged beyond them


class EpisodeEnd(enum.StrEnum):
    """Why an episode is over."""

    SUCCESS = "success"
    HORIZON = "horizon reached"


@dataclass(frozen=True)
class EpisodeStart:
    """What an episode is to begin with.

    Attributes:
        suite, task_index: the task; empty and None: the current one.
        init_state: which of the task's initial states.
        seed: of everything that is drawn at random.
    """

    suite: str = ""
    task_index: int | None = None
    placement: Placement = Placement.BENCHMARK
    init_state: int = 0
    seed: int = 0


@dataclass(frozen=True)
class EpisodeState:
    """Where the episode stands.

    Attributes:
        instruction: the task's own.
        step: control steps under a task since the reset, those in which it waits for a chunk not among them.
        horizon: of them, after which the episode is over; 0: none.
        success: the world's own verdict, true from the first step under a task at which it held.
        suite, task_index: the task, where it is one of a suite.
    """

    instruction: str
    step: int
    horizon: int
    success: bool = False
    suite: str = ""
    task_index: int = 0

    @property
    def out_of_time(self) -> bool:
        return 0 < self.horizon <= self.step

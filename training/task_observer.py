"""Interface of observers of a running task: videos, logs and recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from substep_core.chunk import Chunk
from substep_core.keys import SubstepKey
from substep_core.observation import Observation
from substep_planner.manager.events import Activate, TaskFeedback


@dataclass(frozen=True)
class ControlCommand:
    """What the world is told in one control step.

    Attributes:
        action: (A,) float32.
        substep: the active one; None: the plan is done, and what was let go comes to rest.
        chunk: that the action is of; None: the robot holds.
        index: of the action in the chunk.
    """

    action: np.ndarray
    substep: SubstepKey | None
    chunk: Chunk | None = None
    index: int = 0


class Observer:
    """Watches one task; what a subclass does not care for passes by. Observations have no images."""

    def on_activate(self, command: Activate, observation: Observation) -> None:
        """A substep was made the active one."""

    def on_feedback(self, feedback: TaskFeedback, step: int) -> None:
        """The planner's feedback, at control step ``step``."""

    def on_command(self, observation: Observation, command: ControlCommand) -> None:
        """The world as it is, and what it is about to be told."""

    def on_step(self, observation: Observation, step: int) -> None:
        """The world after a control step."""

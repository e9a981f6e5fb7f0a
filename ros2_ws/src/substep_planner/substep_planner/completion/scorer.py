"""What every completion scorer offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from substep_planner.plan import Substep


class CompletionScorer(Protocol):
    """Says how much a frame looks as if a substep were done. Used by one thread at a time."""

    name: str  # backend and model
    threshold: float  # score from which a frame counts as showing the effect, unless one is configured

    def begin_plan(self, substeps: Sequence[Substep]) -> None:
        """A plan begins: prepare what depends on its texts alone."""

    def score(self, image: np.ndarray, index: int) -> float:
        """Score of one frame for substep ``index`` of the plan; larger means rather done.

        Args:
            image: (H, W, 3) uint8 RGB, upright.
        """

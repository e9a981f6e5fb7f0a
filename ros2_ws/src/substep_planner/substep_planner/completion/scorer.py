"""What every completion scorer offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from substep_planner.plan import Substep


class CompletionScorer(Protocol):
    """Says how much the cameras' frames look as if a substep were done. Used by one thread at a time."""

    name: str  # backend and model
    cameras: tuple[str, ...]  # whose frames it looks at
    threshold: float  # score from which a frame counts as showing the effect, unless one is configured

    def begin_plan(self, substeps: Sequence[Substep]) -> None:
        """A plan begins: prepare what depends on its texts alone."""

    def score(self, images: Mapping[str, np.ndarray], index: int) -> float:
        """Score of one moment for substep ``index`` of the plan; larger means rather done.

        Args:
            images: camera -> (H, W, 3) uint8 RGB, upright, all of ``cameras`` among them.
        """

"""Interface of completion scorers: how done a substep looks in a set of camera frames."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from substep_core.plan import Substep

log = logging.getLogger(__name__)


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

        Raises:
            PlanningError: whom it asks gives no answer; a task whose substeps end by what is seen ends with that.
        """


def warn_of_default(scorer: str, threshold: float) -> None:
    """For a scorer whose threshold nobody chose, neither its user nor who trained it."""
    log.warning(
        "%s: the completion threshold %g is a default, nobody chose it for this model: substeps may be called done too "
        "early or late. Set completion_threshold; ./substep bench completion measures scorers",
        scorer,
        threshold,
    )

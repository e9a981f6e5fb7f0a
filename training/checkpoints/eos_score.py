"""Scores predicted ends of substeps against true ones. Calibration and evaluation share it.

From a substep's beginning a chunk is asked for every C timesteps, and the first EOS found is the predicted end. It is
right within ``TOLERANCE`` timesteps of the true one. All phases of the asking are tried, since a run does not begin
where the demonstration did.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from substep_core.chunk import NO_EOS

TOLERANCE = 3


@dataclass(frozen=True)
class EndCounts:
    """Predicted ends: right, premature (too early) and missed (too late, or never). They can be added up."""

    right: int = 0
    premature: int = 0
    missed: int = 0

    def __add__(self, other: EndCounts) -> EndCounts:
        return EndCounts(self.right + other.right, self.premature + other.premature, self.missed + other.missed)

    @property
    def trials(self) -> int:
        return self.right + self.premature + self.missed

    @property
    def precision(self) -> float:
        """Of the ends predicted in time, the share that is right; 0 when there are none."""
        return self.right / max(self.right + self.premature, 1)

    @property
    def recall(self) -> float:
        """Of the true ends, the share that is found; 0 when there are none."""
        return self.right / max(self.trials, 1)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(2 * self.right + 2 * self.premature + self.missed, 1)


def predicted_end(eos_indices: np.ndarray, phase: int, chunk_length: int) -> int:
    """First end found when a chunk is asked for every ``chunk_length`` timesteps from ``phase`` on, or ``NO_EOS``.

    Args:
        eos_indices: (N,) EOS index of the chunk asked for at each timestep.
    """
    for timestep in range(phase, len(eos_indices), chunk_length):
        if eos_indices[timestep] != NO_EOS:
            return timestep + int(eos_indices[timestep])
    return NO_EOS


def count_ends(eos_indices: np.ndarray, length: int, chunk_length: int) -> EndCounts:
    """The predicted ends of one substep, one for each phase.

    Args:
        eos_indices: (N,) EOS index of the chunk asked for at each timestep of the substep, and at up to
            ``TOLERANCE`` timesteps after it with the same instruction.
        length: timesteps of the substep; the last of them is its true end.
    """
    right = premature = missed = 0
    for phase in range(min(chunk_length, length)):
        end = predicted_end(eos_indices, phase, chunk_length)
        if end == NO_EOS or end > length - 1 + TOLERANCE:
            missed += 1
        elif end < length - 1 - TOLERANCE:
            premature += 1
        else:
            right += 1
    return EndCounts(right, premature, missed)

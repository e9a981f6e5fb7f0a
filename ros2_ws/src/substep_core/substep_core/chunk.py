"""An action chunk: what a policy answers with."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

NO_EOS = -1


@dataclass(frozen=True)
class Chunk:
    """A chunk of actions, already cut at its end of substep (EOS).

    Attributes:
        actions: (horizon, A) float32, the action groups of a robot contract in their order.
        eos_probabilities: one per action predicted before the cut; empty where no EOS head gave any.
        eos_index: action after which the substep ends; ``NO_EOS`` when it goes on.
    """

    actions: np.ndarray
    eos_probabilities: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    eos_index: int = NO_EOS

    def __post_init__(self) -> None:
        if self.actions.ndim != 2 or len(self.actions) == 0:
            raise ValueError(f"actions have shape {self.actions.shape}, expected (horizon >= 1, action dimension)")
        if self.eos_index != NO_EOS and self.eos_index != len(self.actions) - 1:
            raise ValueError(
                f"eos_index {self.eos_index} does not fit {len(self.actions)} actions: a chunk is cut at its EOS, "
                f"so it is {NO_EOS} or {len(self.actions) - 1}"
            )

    @property
    def has_eos(self) -> bool:
        return self.eos_index != NO_EOS


class ChunkOutcome(IntEnum):
    """What became of a chunk; the values are those of ChunkReport.msg."""

    PLAYED = 0  # to its last action, or to where the next chunk took over; no EOS
    PLAYED_EOS = 1  # to its last action, which ended the substep
    SUPERSEDED = 2  # cut short: the substep changed, the episode was reset or a newer chunk took its place
    REJECTED = 3  # dropped whole by the safety guard

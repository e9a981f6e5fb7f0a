"""Which initial states and seeds are for training and which for evaluation. Nothing reported was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

EVALUATION_INIT_STATES = range(0, 20)  # the benchmark's first ones, as its own evaluations take them
TRAINING_INIT_STATES = range(20, 50)
EVALUATION_SEEDS = range(0, 1_000_000)
TRAINING_SEEDS = range(1_000_000, 2_000_000)


@dataclass(frozen=True)
class Split:
    """Where episodes may start, and what their seeds may be."""

    init_states: range
    seeds: range


SPLITS: Mapping[str, Split] = MappingProxyType(
    {
        "training": Split(TRAINING_INIT_STATES, TRAINING_SEEDS),
        "evaluation": Split(EVALUATION_INIT_STATES, EVALUATION_SEEDS),
    }
)

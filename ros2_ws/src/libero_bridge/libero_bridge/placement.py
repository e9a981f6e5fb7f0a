"""Where objects start: LIBERO's own initial states, or random places in enlarged regions."""

from __future__ import annotations

from enum import Enum


class Placement(Enum):
    """BENCHMARK: one of the suite's initial states. WIDENED: drawn at random from enlarged regions, from a seed."""

    BENCHMARK = "benchmark"
    WIDENED = "widened"

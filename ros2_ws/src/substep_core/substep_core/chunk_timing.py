"""How chunks follow one another in time, and what a chunk's length can hide of the time that inference takes.

Control steps of a delay are d, actions of a chunk H. The next chunk takes over d steps after it was asked for, and d
more steps pass before the one after it can, so that the robot moves without a gap only if H ≥ 2d. Of s steps between
two requests that is d ≤ s ≤ H − d (Black, Galliker and Levine 2025, "Real-Time Execution of Action Chunking Flow
Policies").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ROUNDING = 1e-6  # of a control step: 0.15 s at 20 Hz are 3, not 4


@dataclass(frozen=True)
class ChunkTiming:
    """How a bridge asks for chunks; a message of the same name says it.

    Attributes:
        joining: name of the joining rule.
        asks_ahead: the next chunk is asked for while the last one is being played.
        needs_guidance: a chunk has to go on from what is left of the last one, which its request carries.
        inference_time: s from an observation to its chunk, as stated; 0: it is not known beforehand.
    """

    joining: str
    asks_ahead: bool
    needs_guidance: bool
    inference_time: float = 0.0

    def shortfall(self, horizon: int, rate: float) -> str:
        """What chunks of ``horizon`` actions cannot hide of the stated time at ``rate`` Hz; empty: nothing."""
        return shortfall(horizon, delay_steps(self.inference_time, rate), rate) if self.asks_ahead else ""


def delay_steps(seconds: float, rate: float) -> int:
    """Control steps that begin before an answer is there which takes so long."""
    return max(0, math.ceil(seconds * rate - ROUNDING))


def shortfall(horizon: int, delay: int, rate: float) -> str:
    """What chunks of ``horizon`` actions that are asked for ahead cannot hide of ``delay`` steps; empty: nothing."""
    if horizon >= 2 * delay:
        return ""
    standstill = 1 - horizon / (2 * delay) if horizon > delay else delay / (horizon + delay)  # then in turn
    hidden = horizon // 2
    return (
        f"chunks of {horizon} actions hide {hidden} control steps ({hidden / rate:.2g} s) of inference, and it takes "
        f"{delay} ({delay / rate:.2g} s): the robot stands still {standstill:.0%} of the time. Expected chunks of "
        f"{2 * delay} actions or more, or inference within {hidden / rate:.2g} s"
    )

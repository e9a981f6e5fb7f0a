"""Arbitrary chunks, as nobody sane would send them, for the test of the limits and for its benchmark."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from substep_core.contract import RobotContract, action_limits

HORIZON = 8
KINDS = ("ordinary", "jumping", "huge", "broken", "replayed", "reversed", "still")
SHARES = (0.35, 0.25, 0.1, 0.05, 0.1, 0.1, 0.05)


def arbitrary_actions(contract: RobotContract, rng: np.random.Generator, chunks: int) -> Iterator[np.ndarray]:
    """The actions (A,) of that many chunks: smooth, jumping, huge, not finite, again, backwards, or zero."""
    low, high = action_limits(contract)
    last = np.zeros((HORIZON, contract.action_width))
    for kind in rng.choice(KINDS, chunks, p=SHARES):
        last = _chunk(kind, rng, low, high, last)
        yield from last[: rng.integers(1, HORIZON + 1)]  # the rest comes too late, or is replaced


def _chunk(kind: str, rng: np.random.Generator, low: np.ndarray, high: np.ndarray, last: np.ndarray) -> np.ndarray:
    if kind == "replayed":
        return last
    if kind == "reversed":
        return last[::-1]
    if kind == "still":
        return np.zeros_like(last)
    if kind == "ordinary":
        ends = rng.uniform(low, high, (2, len(low)))
        return np.linspace(*ends, HORIZON)
    chunk = rng.uniform(low, high, (HORIZON, len(low)))
    if kind == "huge":
        return chunk * 10.0 ** rng.integers(1, 300)
    if kind == "broken":
        chunk[rng.integers(HORIZON), rng.integers(len(low))] = rng.choice([np.nan, np.inf, -np.inf])
    return chunk

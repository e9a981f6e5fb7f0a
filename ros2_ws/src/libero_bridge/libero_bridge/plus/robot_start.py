"""LIBERO-plus's robot initial states: 500 joint angles around the Panda's home, in five distances."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from libero_bridge.plus.names import MOST_ROBOTS

HOME = (0.0, -0.161037389, 0.0, -2.44459747, 0.0, 2.2267522, np.pi / 4)  # rad
SEED, PER_RADIUS, RADIUS = 42, 100, 0.1  # rad; each hundred is that much further away than the one before it


def start_joints(number: int) -> np.ndarray:
    """(7,) rad: joint angles of start 1 to 500. The 500 classes that LIBERO-plus ships hold the same to 5e-9 rad."""
    return np.array(HOME) + _offsets()[number - 1]


@lru_cache(maxsize=1)
def _offsets() -> np.ndarray:
    """(500, 7) rad, drawn one after the other from numpy's legacy generator."""
    generator = np.random.RandomState(SEED)
    offsets = np.empty((MOST_ROBOTS, len(HOME)))
    for index in range(MOST_ROBOTS):
        direction = generator.randn(len(HOME))
        offsets[index] = direction / np.linalg.norm(direction) * RADIUS * (1 + index // PER_RADIUS)
    return offsets

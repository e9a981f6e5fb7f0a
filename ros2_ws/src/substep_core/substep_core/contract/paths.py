"""Whether a path goes through a box: one slab an axis for each of its straight pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_STILL = 1e-12  # m; a piece that does not move along an axis is taken to move by this much
_ROUNDING = 1e-9  # m


def first_within(path: np.ndarray, low: Sequence[float], high: Sequence[float]) -> int | None:
    """The first piece of a path that runs into a box, also where both of its ends are beyond it; None: no piece does.

    A path that begins in the box may leave it, as slowly as it likes: it runs into it only where it goes deeper.

    Args:
        path: (K, 3) m, K >= 2, in the frame of the corners; piece ``k`` leads from row ``k`` to the next.
        low, high: (3,) the box's corners.
    """
    low, high = np.asarray(low), np.asarray(high)
    depths = np.minimum(path - low, high - path).min(axis=1)
    if depths[0] > 0:
        deeper = np.flatnonzero(depths > depths[0] + _ROUNDING)
        return int(deeper[0]) - 1 if len(deeper) else None
    along = np.diff(path, axis=0)
    steps = np.where(np.abs(along) < _STILL, _STILL, along)
    first, second = (low - path[:-1]) / steps, (high - path[:-1]) / steps
    enter = np.minimum(first, second).max(axis=1)
    leave = np.maximum(first, second).min(axis=1)
    pieces = np.flatnonzero((enter < leave) & (leave > 0) & (enter < 1))
    return int(pieces[0]) if len(pieces) else None

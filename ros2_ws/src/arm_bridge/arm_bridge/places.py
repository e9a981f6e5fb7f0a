"""Where an end effector and joints may be: boxes, keep-out boxes and joint limits, along a path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from substep_core.contract import JointLimit, RobotContract, first_within

ROUNDING = 1e-9


class CartesianPlaces:
    """Of an end effector whose velocity is (linear 3, angular 3).

    Args:
        origin: (3,) m in the base frame: what the workspace's corners are measured from.
    """

    def __init__(self, contract: RobotContract, origin: np.ndarray) -> None:
        workspace = contract.workspace
        self._low, self._high = np.array(workspace.low) + origin, np.array(workspace.high) + origin
        self._out = [(np.array(box.low) + origin, np.array(box.high) + origin) for box in workspace.keep_out]

    def blocked(self, path: np.ndarray) -> np.ndarray:
        """path (K, 6), of which the first three are m in the base frame -> (6,) which of them leave a limit.

        A robot that is beyond a limit may come back.
        """
        points = path[:, :3]
        beyond = np.maximum(self._low - points, points - self._high)
        out = ((beyond > ROUNDING) & (beyond > beyond[0] + ROUNDING)).any(axis=0)
        if any(first_within(points, low, high) is not None for low, high in self._out):
            out = np.ones(3, bool)
        return np.concatenate([out, np.zeros(3, bool)])


class JointPlaces:
    """Of joints, in the order of a command."""

    def __init__(self, limits: Sequence[JointLimit]) -> None:
        self._low, self._high = (np.array([getattr(limit, side) for limit in limits]) for side in ("low", "high"))

    def blocked(self, path: np.ndarray) -> np.ndarray:
        """path (K, W) rad or m -> (W,) which of them leave a limit; a joint beyond one may come back."""
        beyond = np.maximum(self._low - path, path - self._high)
        return ((beyond > ROUNDING) & (beyond > beyond[0] + ROUNDING)).any(axis=0)

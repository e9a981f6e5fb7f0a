"""What a gripper is told, and when: only what differs from what it was told last."""

from __future__ import annotations

import numpy as np

from arm_bridge.adapters import GripperAdapter
from arm_bridge.command import CommandRefused
from substep_core.contract import ActionGroup

NOTABLE = 0.02  # of the way between open and closed


class GripperCommander:
    """Turns the values of one gripper group into positions of its driver."""

    def __init__(self, group: ActionGroup, adapter: GripperAdapter) -> None:
        self._group, self._adapter = group, adapter
        self._told: float | None = None

    def rest(self) -> None:
        """What it was told does not count any more."""
        self._told = None

    def play(self, values: np.ndarray) -> float | None:
        """values (1,) of an action -> the position to go to, between open and closed; None: as told before.

        Raises:
            CommandRefused: the value is not finite.
        """
        closedness = float(self._group.closedness(np.asarray(values, float)).flat[0])
        if not np.isfinite(closedness):
            raise CommandRefused(f"{self._group.name} is told {values}, expected a finite value")
        part = (np.clip(closedness, -1.0, 1.0) + 1) / 2
        if self._told is not None and abs(part - self._told) < NOTABLE:
            return None
        self._told = part
        return float(self._adapter.opened + part * (self._adapter.closed - self._adapter.opened))

"""How far the arm has moved, as measured and as commanded, in m; rad of a robot whose end effector is not measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from arm_bridge.command import ArmCommand
from substep_core.contract import Joints, Pose

NOISE = 0.002  # by which what is measured may change though nothing moves


class MeasuredWay:
    """From poses and joints, whichever topic they come on."""

    def __init__(self) -> None:
        self.total = 0.0
        self._anchors: dict[str, np.ndarray] = {}

    def add(self, name: str, value: Any) -> None:
        here = _place(value)
        anchor = self._anchors.setdefault(name, here)
        moved = float(np.linalg.norm(here - anchor)) if anchor.shape == here.shape else 0.0
        if moved > NOISE or anchor.shape != here.shape:
            self._anchors[name] = here
            self.total += moved


class CommandedWay:
    """From what was sent."""

    def __init__(self) -> None:
        self.total = 0.0

    def add(self, command: ArmCommand) -> None:
        """Of an end effector its linear part counts."""
        velocity = command.velocity if command.joints else command.velocity[:3]
        self.total += float(np.linalg.norm(velocity)) * command.period


def _place(value: Pose | Joints) -> np.ndarray:
    return value.position if isinstance(value, Pose) else np.array(list(value.position.values()))

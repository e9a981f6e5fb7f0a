"""What is shown, in the terms of a robot's run and of no viewer's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Picture:
    """(H, W, 3) uint8 of a camera."""

    pixels: np.ndarray


@dataclass(frozen=True)
class Numbers:
    """Values of one instant, one for each curve of a plot."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class Position:
    """Where something is: m in the robot's base frame."""

    position: tuple[float, float, float]


@dataclass(frozen=True)
class State:
    """What something is in from now on, such as a substep; None: in nothing."""

    name: str | None


@dataclass(frozen=True)
class EventText:
    """Something that happened. level: "INFO", "WARN" or "ERROR"."""

    text: str
    level: str = "INFO"


@dataclass(frozen=True)
class Entry:
    """One thing at one time.

    Attributes:
        path: where it belongs, such as "cameras/agentview".
        stamp: ns of the robot's time.
    """

    path: str
    stamp: int
    value: Picture | Numbers | Position | State | EventText


@dataclass(frozen=True)
class Plot:
    """Curves that belong together. unit: of their values; empty: none."""

    path: str
    curves: tuple[str, ...]
    unit: str = ""

"""Which generator makes which file of LIBERO's asset tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from libero_bridge.scenes.builder import Model
from libero_bridge.scenes.objects import ASSETS as OBJECTS

Generator = Callable[[], Model]


def catalogue() -> Mapping[str, Generator]:
    """Every asset of the pack: path below LIBERO's asset folder -> generator of the model written there."""
    return {**OBJECTS}

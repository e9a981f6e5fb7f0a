"""Which generator makes which file of LIBERO's asset tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from libero_bridge.scenes.arenas import ASSETS as ARENAS
from libero_bridge.scenes.builder import Model
from libero_bridge.scenes.fixtures import ASSETS as FIXTURES
from libero_bridge.scenes.objects import ASSETS as OBJECTS
from libero_bridge.scenes.surfaces import ASSETS as STYLES
from libero_bridge.scenes.surfaces import StyleTexture

Generator = Callable[[], Model | StyleTexture]


def catalogue() -> Mapping[str, Generator]:
    """Every asset of the pack: path below LIBERO's asset folder -> generator of the model written there."""
    return {**OBJECTS, **FIXTURES, **ARENAS, **STYLES}

"""Everything LIBERO moves freely: generators by asset path, grouped by kind of thing."""

from __future__ import annotations

from collections.abc import Callable

from libero_bridge.scenes.builder import Model

ASSETS: dict[str, Callable[[], Model]] = {}

"""Decomposers by name. Nothing is imported before it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from substep_planner.decomposers.base import Decomposer

DEFAULT_ORDER = ("library", "rules")


@dataclass(frozen=True)
class DecomposerSettings:
    """What the decomposers may be told; each reads what concerns it.

    Attributes:
        library: path of a plan file; empty: the shipped one.
    """

    library: str = ""


# name -> "module:function(settings) -> Decomposer"
DECOMPOSERS: Mapping[str, str] = MappingProxyType(
    {
        "library": "substep_planner.decomposers.library:create",
        "rules": "substep_planner.decomposers.rules.decomposer:create",
        "whole_task": "substep_planner.decomposers.whole_task:create",
    }
)


def load_decomposers(
    names: Sequence[str], settings: DecomposerSettings, registry: Mapping[str, str] = DECOMPOSERS
) -> tuple[Decomposer, ...]:
    """The decomposers of these names, in this order.

    Raises:
        ValueError: a name that is unknown or given twice, or none at all.
        Exception: whatever a decomposer's own loading raises (no such file, no such model).
    """
    if not names:
        raise ValueError(f"no decomposer is named, expected some of {', '.join(registry)}")
    for name in names:
        if name not in registry:
            raise ValueError(f"unknown decomposer {name!r}, expected some of {', '.join(registry)}")
    if len(set(names)) < len(names):
        raise ValueError(f"a decomposer is named twice: {', '.join(names)}")
    return tuple(_import(registry[name])(settings) for name in names)


def _import(target: str):
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)

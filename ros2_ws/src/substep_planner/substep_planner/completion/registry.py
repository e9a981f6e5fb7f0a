"""Completion scorers by name. Nothing is imported before it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from substep_planner.completion.scorer import CompletionScorer

NO_SCORER = "none"
DEFAULT_SCORER = "compact"  # the trained model that ships with the project


@dataclass(frozen=True)
class CompletionSettings:
    """What a scorer is made from.

    Attributes:
        model: hub id, folder or the backend's own name; empty: the backend's default.
        device: "auto", "cpu", "cuda" or "cuda:N".
        measure: of contrastive models, "cosine" or "sigmoid".
        camera: that contrastive models look through.
    """

    model: str = ""
    device: str = "auto"
    measure: str = "cosine"
    camera: str = "agentview"


# name -> "module:function(settings) -> CompletionScorer"
SCORERS: Mapping[str, str] = MappingProxyType(
    {
        "compact": "substep_planner.completion.compact_scorer:create",
        "open_clip": "substep_planner.completion.open_clip_encoder:create",
        "transformers": "substep_planner.completion.transformers_encoder:create",
    }
)


def load_scorer(
    name: str, settings: CompletionSettings, registry: Mapping[str, str] = SCORERS
) -> CompletionScorer | None:
    """The scorer of that name; none for ``NO_SCORER``.

    Raises:
        ValueError: there is no such scorer.
        Exception: whatever its own loading raises (no such model, no such device).
    """
    if name == NO_SCORER:
        return None
    if name not in registry:
        raise ValueError(f"unknown completion scorer {name!r}, expected one of {', '.join([NO_SCORER, *registry])}")
    module, _, function = registry[name].partition(":")
    return getattr(importlib.import_module(module), function)(settings)

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
        prompt: path of a prompt file for the language models; empty: the shipped one.
        plan_cache: folder in which language models' plans are kept; empty: in memory only.
        show_image: whether language models are shown the scene.
        transformers_model: hub id or folder.
        device: of the transformers model: "auto", "cpu", "cuda" or "cuda:N".
        max_tokens: of one answer of a language model.
        openai_url: of an OpenAI-compatible server, up to and including the version.
        openai_model: as the server calls it.
        openai_key_variable: environment variable that holds the server's key; unset or empty: no key is sent.
        openai_timeout: s for one whole answer.
        openai_retries: after a failed connection, a timeout, status 429 or 5xx.
    """

    library: str = ""
    prompt: str = ""
    plan_cache: str = ""
    show_image: bool = False
    transformers_model: str = "Qwen/Qwen3-4B-Instruct-2507"
    device: str = "auto"
    max_tokens: int = 1024
    openai_url: str = "http://localhost:8000/v1"
    openai_model: str = "Qwen/Qwen3-4B-Instruct-2507"
    openai_key_variable: str = "OPENAI_API_KEY"
    openai_timeout: float = 30.0
    openai_retries: int = 2


# name -> "module:function(settings) -> Decomposer"
DECOMPOSERS: Mapping[str, str] = MappingProxyType(
    {
        "library": "substep_planner.decomposers.library:create",
        "rules": "substep_planner.decomposers.rules.decomposer:create",
        "transformers": "substep_planner.decomposers.language_model.decomposer:create_transformers",
        "openai": "substep_planner.decomposers.language_model.decomposer:create_openai",
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

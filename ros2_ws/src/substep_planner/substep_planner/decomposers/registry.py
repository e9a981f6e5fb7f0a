"""Decomposers by name: entry points in ``substep.decomposers``, functions from settings to a decomposer.

Such a function raises ``ValueError`` for a setting that is wrong. Whatever else it raises is the backend's failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from substep_core.errors import ErrorCode, PlanningError
from substep_core.printable import printable
from substep_core.registry import Registry, RegistryError
from substep_planner.decomposers.base import Decomposer, PlanRequest, SourcedPlan

DEFAULT_ORDER = ("library", "grounding", "rules")


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
        anthropic_url: of a server with Anthropic's API, up to and including the version.
        anthropic_model: as the server calls it.
        anthropic_key_variable: environment variable that holds the server's key; unset or empty: no key is sent.
        server_timeout: s for one whole answer of a server, with all tries and the pauses between them.
        server_retries: after a failed connection, status 429 or 5xx.
        server_form: how servers hold an answer to the plan's schema; "auto": the first way that they do not refuse.
        grounding_model: file of the embedded language model; empty: the shipped one.
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
    anthropic_url: str = "https://api.anthropic.com/v1"
    anthropic_model: str = "claude-haiku-4-5"
    anthropic_key_variable: str = "ANTHROPIC_API_KEY"
    server_timeout: float = 30.0
    server_retries: int = 2
    server_form: str = "auto"
    grounding_model: str = ""


DecomposerRegistry = Registry[Callable[[DecomposerSettings], Decomposer]]
DECOMPOSERS: DecomposerRegistry = Registry("decomposer", "substep.decomposers")


class FailedDecomposer:
    """Stands for one that could not be loaded: it fails whenever it is asked, so that the next one is."""

    wants_picture = False

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self.why = printable(f"cannot be loaded: {type(error).__name__}: {error}")

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        """See ``Decomposer``."""
        raise PlanningError(ErrorCode.BACKEND_FAILED, self.why)


def load_decomposers(
    names: Sequence[str], settings: DecomposerSettings, registry: DecomposerRegistry = DECOMPOSERS
) -> tuple[Decomposer, ...]:
    """The decomposers of these names, in this order; for one that cannot be loaded a ``FailedDecomposer``.

    Raises:
        ValueError: a name that is unknown or given twice, none at all, or a setting that a decomposer refuses.
        PlanningError: none of them can be loaded.
    """
    if not names:
        raise ValueError(f"no decomposer is named, expected some of {registry.listing}")
    for name in names:
        registry.check(name)
    if len(set(names)) < len(names):
        raise ValueError(f"a decomposer is named twice: {', '.join(names)}")
    loaded = tuple(_load(name, settings, registry) for name in names)
    failed = [item for item in loaded if isinstance(item, FailedDecomposer)]
    if len(failed) == len(loaded):
        raise PlanningError(ErrorCode.BACKEND_FAILED, "; ".join(f"{item.name} {item.why}" for item in failed))
    return loaded


def _load(name: str, settings: DecomposerSettings, registry: DecomposerRegistry) -> Decomposer:
    try:
        return registry.load(name)(settings)
    except RegistryError as error:  # the name is known, so what it stands for cannot be imported
        return FailedDecomposer(name, error)
    except ValueError:  # a wrong setting, which is for the user to mend
        raise
    except Exception as error:  # the border to whatever a backend is built on
        return FailedDecomposer(name, error)

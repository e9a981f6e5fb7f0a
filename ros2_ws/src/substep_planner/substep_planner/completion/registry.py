"""Completion scorers by name: entry points in ``substep.completion_scorers``, functions from settings to a scorer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from substep_core.contract import CameraRole
from substep_core.named_substep import NamedSubstep
from substep_core.registry import Registry
from substep_planner.completion.scorer import CompletionScorer

NO_SCORER = "none"
DEFAULT_SCORER = "compact"  # the trained model that ships with the project
SCENE_CAMERA = CameraRole.SCENE.value


@dataclass(frozen=True)
class CompletionSettings:
    """What a scorer is made from.

    Attributes:
        model: hub id, folder or the backend's own name; empty: the backend's default.
        device: "auto", "cpu", "cuda" or "cuda:N".
        measure: of contrastive models, "cosine" or "sigmoid".
        camera: that contrastive models look through: a name, or a role of the robot contract.
        threshold: score from which a frame counts, where somebody chose one; None: the scorer's own.
        ask_policy: what the policy itself says comes next in the task under way; None: there is no policy to ask.
    """

    model: str = ""
    device: str = "auto"
    measure: str = "cosine"
    camera: str = SCENE_CAMERA
    threshold: float | None = None
    ask_policy: Callable[[], NamedSubstep] | None = None


ScorerRegistry = Registry[Callable[[CompletionSettings], CompletionScorer]]
SCORERS: ScorerRegistry = Registry("completion scorer", "substep.completion_scorers")


def check_scorer(name: str, registry: ScorerRegistry = SCORERS) -> None:
    """Imports nothing. Raises: ValueError: there is no such scorer, nor is it ``NO_SCORER``."""
    if name != NO_SCORER:
        registry.check(name)


def load_scorer(name: str, settings: CompletionSettings, registry: ScorerRegistry = SCORERS) -> CompletionScorer | None:
    """The scorer of that name; none for ``NO_SCORER``.

    Raises:
        ValueError: there is no such scorer.
        Exception: whatever its own loading raises (no such model, no such device).
    """
    return None if name == NO_SCORER else registry.load(name)(settings)

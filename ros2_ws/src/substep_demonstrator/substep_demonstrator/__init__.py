"""A scripted expert: reads the ground truth of the simulated world and carries out one substep at a time."""

from __future__ import annotations

from substep_demonstrator.policy import Demonstrator, DemonstratorConfig
from substep_policy.registry import PolicySettings

__all__ = ["Demonstrator", "DemonstratorConfig", "load"]


def load(settings: PolicySettings) -> Demonstrator:
    """The registry's entry; the demonstrator has no weights, so there is nothing in ``settings`` that it needs."""
    return Demonstrator()

"""How a chunk is drawn to what is left of the last one, by name; nothing of a network is imported.

A package adds a way with an entry point in ``substep.guidances``: a function from ``GuidanceSettings`` to a
``Guidance`` (``substep_policy/heads/guidance.py``).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from substep_core.configuration import configuration
from substep_core.registry import Registry

if TYPE_CHECKING:
    from substep_policy.heads.guidance import Guidance


class Schedule(enum.StrEnum):
    """How the weights fall over the left-over actions beyond those that are played in any case."""

    EXPONENTIAL = "exponential"
    LINEAR = "linear"
    ONES = "ones"  # all of them count fully
    ZEROS = "zeros"  # none of them counts


@configuration
class GuidanceSettings:
    """A way and how strong it is.

    Attributes:
        guidance: its name.
        weight: β, the most that the difference to the last chunk is weighted with.
    """

    guidance: str = "gradient"
    weight: float = Field(default=5.0, ge=0.0, le=1000.0)
    schedule: Schedule = Schedule.EXPONENTIAL


DEFAULT_GUIDANCE = GuidanceSettings()
MakeGuidance = Callable[[GuidanceSettings], "Guidance"]
GUIDANCES: Registry[MakeGuidance] = Registry("guidance", "substep.guidances")


def load_guidance(settings: GuidanceSettings) -> Guidance:
    """Raises: RegistryError: there is no guidance of that name."""
    return GUIDANCES.load(settings.guidance)(settings)

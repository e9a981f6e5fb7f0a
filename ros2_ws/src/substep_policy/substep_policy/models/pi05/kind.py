"""π0.5 as a kind of model."""

from __future__ import annotations

from substep_policy.models.kind import ModelKind
from substep_policy.models.pi05.inspection import inspect_pi05
from substep_policy.models.pi05.model import Pi05ModelConfig
from substep_policy.models.pi05.policy import load
from substep_policy.models.pi05.published_config import read_config, recognises

KIND = ModelKind(
    Pi05ModelConfig,
    read_config,
    load,
    inspect_pi05,
    training="training.train.models.pi05:training",
    recognises=recognises,
)

"""The compact model as a kind of model."""

from __future__ import annotations

from substep_policy.models.compact.checkpoints import CHECKPOINTS, inspect_compact
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.models.compact.policy import load
from substep_policy.models.kind import ModelKind

KIND = ModelKind(
    CompactModelConfig,
    CHECKPOINTS.read_config,
    load,
    inspect_compact,
    training="training.train.models.compact:training",
)

"""The entry of ``substep.model_kinds``."""

from __future__ import annotations

from substep_policy.models.kind import ModelKind
from two_arms.glance.model import CHECKPOINTS, GlanceConfig
from two_arms.glance.policy import GlancePolicy

KIND = ModelKind(
    GlanceConfig,
    CHECKPOINTS.read_config,
    GlancePolicy,
    CHECKPOINTS.inspect,
    training="two_arms.glance.training:training",
)

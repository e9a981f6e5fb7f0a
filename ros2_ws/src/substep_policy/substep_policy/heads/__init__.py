"""Heads on the shared ``actions_hidden_states`` (B, C·A, D). None of them knows which backbone made them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from substep_policy.heads.diffusion import DiffusionActionHead, DiffusionHeadConfig
from substep_policy.heads.discrete import (
    DiscreteActionHead,
    DiscreteHeadConfig,
    LanguageModelActionHead,
    TokenActionHead,
)
from substep_policy.heads.eos_classification import EOSClassificationHead, EOSHeadConfig
from substep_policy.heads.in_sequence_diffusion import (
    InSequenceDiffusionConfig,
    NoisePredictionHead,
    NoisyActionProjector,
)
from substep_policy.heads.l1 import L1HeadConfig, L1RegressionActionHead
from substep_policy.heads.targets import ActionTargets

ActionHeadConfig = Annotated[L1HeadConfig | DiffusionHeadConfig | DiscreteHeadConfig, Field(discriminator="type")]


def build_action_head(config: ActionHeadConfig, input_dim: int, chunk_length: int) -> nn.Module:
    """The action head that ``config`` describes, for hidden states of width ``input_dim``.

    Every action head has ``predict(hidden) -> (B, C, A)`` and ``loss(hidden, ActionTargets) -> scalar``.
    """
    match config:
        case L1HeadConfig():
            return L1RegressionActionHead(config, input_dim)
        case DiffusionHeadConfig():
            return DiffusionActionHead(config, input_dim, chunk_length)
        case DiscreteHeadConfig():
            return DiscreteActionHead(config, input_dim)
    raise TypeError(f"{type(config).__name__} is not the configuration of an action head")


__all__ = [
    "ActionHeadConfig",
    "ActionTargets",
    "DiffusionActionHead",
    "DiffusionHeadConfig",
    "DiscreteActionHead",
    "DiscreteHeadConfig",
    "EOSClassificationHead",
    "EOSHeadConfig",
    "InSequenceDiffusionConfig",
    "L1HeadConfig",
    "L1RegressionActionHead",
    "LanguageModelActionHead",
    "NoisePredictionHead",
    "NoisyActionProjector",
    "TokenActionHead",
    "build_action_head",
]

"""Heads on the shared ``actions_hidden_states`` (B, C·A, D). None of them knows which backbone made them."""

from __future__ import annotations

from substep_policy.heads.decoder import ActionDecoder, ActionDecoderConfig, DecoderConfig, DecoderShape, check_decoder
from substep_policy.heads.diffusion import DiffusionActionHead, DiffusionHeadConfig
from substep_policy.heads.discrete import TokenActionHead, TokenDecoder, TokenHeadConfig
from substep_policy.heads.eos_classification import EOSClassificationHead, EOSHeadConfig
from substep_policy.heads.in_sequence_diffusion import InSequenceDiffusionConfig, NoisePredictionHead
from substep_policy.heads.l1 import L1HeadConfig, L1RegressionActionHead
from substep_policy.heads.targets import ActionTargets

__all__ = [
    "ActionDecoder",
    "ActionDecoderConfig",
    "ActionTargets",
    "DecoderConfig",
    "DecoderShape",
    "DiffusionActionHead",
    "DiffusionHeadConfig",
    "EOSClassificationHead",
    "EOSHeadConfig",
    "InSequenceDiffusionConfig",
    "L1HeadConfig",
    "L1RegressionActionHead",
    "NoisePredictionHead",
    "TokenActionHead",
    "TokenDecoder",
    "TokenHeadConfig",
    "check_decoder",
]

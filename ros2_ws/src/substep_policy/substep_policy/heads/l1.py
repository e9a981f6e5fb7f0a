"""Continuous actions by regression on the mean absolute error (OpenVLA-OFT)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from substep_core.configuration import configuration
from substep_policy.eos import EosSource
from substep_policy.heads.decoder import CONTINUOUS, DecoderShape, OnePassDecoder
from substep_policy.heads.residual_mlp import ResidualMLP
from substep_policy.heads.targets import ActionTargets, group_by_action, masked_mean
from substep_policy.models.normalization import Statistics
from substep_policy.models.sizes import Layers, Width


@configuration
class L1HeadConfig:
    """``hidden_dim`` is the width of the MLP, ``blocks`` its residual blocks."""

    type: Literal["l1"] = "l1"
    hidden_dim: Width = 512
    blocks: Layers = 2

    fills_slots: ClassVar[bool] = False
    eos_sources: ClassVar[frozenset[EosSource]] = CONTINUOUS

    def build(self, shape: DecoderShape) -> L1Decoder:
        return L1Decoder(L1RegressionActionHead(self, shape.hidden_dim, shape.action_dim))


class L1Decoder(OnePassDecoder):
    """Can be given other statistics: its last layer is linear."""

    @property
    def draws(self) -> bool:
        return False

    def rescale(self, before: Statistics, after: Statistics) -> None:
        self.head.rescale(before, after)


class L1RegressionActionHead(nn.Module):
    """(B, C·A, D) hidden states -> (B, C, A) normalised actions. Emits no tokens, so no token EOS."""

    def __init__(self, config: L1HeadConfig, input_dim: int, action_dim: int) -> None:
        super().__init__()
        self.action_dim = action_dim
        self.model = ResidualMLP(input_dim * action_dim, config.hidden_dim, action_dim, config.blocks)

    def predict(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> (B, C, A)."""
        return self.model(group_by_action(hidden, self.action_dim))

    @torch.no_grad()
    def rescale(self, before: Statistics, after: Statistics) -> None:
        """Predict the same motions, normalised with ``after`` instead of ``before``; the last layer is linear."""
        span = np.where(after.mask, after.q99 - after.q01, 1.0)
        scale = np.where(after.mask, (before.q99 - before.q01) / span, 1.0)
        shift = np.where(after.mask, 2 * (before.q01 - after.q01) / span + scale - 1, 0.0)
        last = self.model.fc2
        factors, offsets = (torch.as_tensor(values).to(last.weight) for values in (scale, shift))
        last.weight.mul_(factors[:, None])
        last.bias.mul_(factors).add_(offsets)

    def loss(self, hidden: Tensor, targets: ActionTargets) -> Tensor:
        """Mean absolute error over the actions that count."""
        return masked_mean((self.predict(hidden) - targets.actions).abs(), targets.mask)

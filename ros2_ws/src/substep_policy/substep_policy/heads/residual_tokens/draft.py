"""The small draft of speculative decoding: a guess at all layers' codes in one pass, learned from the main head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from substep_core.configuration import configuration
from substep_policy.heads.residual_tokens.head import CodeHead
from substep_policy.models.sizes import Width


@configuration
class DraftConfig:
    """``hidden_dim``: width of its one hidden layer."""

    hidden_dim: Width = 64


class DraftHead(nn.Module):
    """Features (N, F) of chains, as the main head has them -> logits (N, K, V)."""

    def __init__(self, config: DraftConfig, features: int, layers: int, levels: int) -> None:
        super().__init__()
        self.layers, self.levels = layers, levels
        self.model = nn.Sequential(
            nn.Linear(features, config.hidden_dim), nn.ReLU(), nn.Linear(config.hidden_dim, layers * levels)
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.model(features).unflatten(-1, (self.layers, self.levels))

    def loss(self, head: CodeHead, hidden: Tensor) -> Tensor:
        """Cross-entropy with the codes that the main head chooses; nothing of it reaches that head."""
        with torch.no_grad():
            features = head.chain_features(hidden).flatten(0, 2)
            chosen = head.greedy(features)
        return functional.cross_entropy(self(features).flatten(0, 1), chosen.flatten())

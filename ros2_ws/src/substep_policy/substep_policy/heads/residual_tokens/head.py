"""What both heads of residual codes do: features of each coded scalar, logits, loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from substep_policy.heads.decoder import DecoderShape
from substep_policy.heads.residual_mlp import ResidualMLP
from substep_policy.heads.residual_tokens.config import CodeTokens, ResidualTokensConfig
from substep_policy.heads.targets import ActionTargets, group_by_action, masked_mean
from substep_policy.heads.token_eos import token_eos_loss


class CodeHead(nn.Module, ABC):
    """Hidden states (B, C·A, D) -> codes (B, C, H, K): H scalars a timestep, K layers each, V levels.

    A chain is the codes of one scalar of one timestep, coarse to fine. Chains do not depend on each other, so each is
    predicted from its own features alone.
    """

    def __init__(self, config: ResidualTokensConfig, shape: DecoderShape) -> None:
        super().__init__()
        config.check_shape(shape)
        network = config.action_tokenizer.network
        self.config, self.action_dim = config, shape.action_dim
        self.latents, self.layers, self.levels = network.latents, config.kept, network.levels
        width = network.latents * config.chain_dim
        self.trunk = ResidualMLP(shape.hidden_dim * shape.action_dim, config.hidden_dim, width, config.blocks)
        self.eos = nn.Linear(config.chain_dim, 1)

    @abstractmethod
    def chain_logits(self, features: Tensor, codes: Tensor) -> Tensor:
        """Features (N, F) and codes (N, K) of N chains -> logits (K, N, V), layer k's given the codes before it."""

    @abstractmethod
    def greedy(self, features: Tensor) -> Tensor:
        """Features (N, F) -> int64 codes (N, K), each the likeliest given those before it."""

    def chain_features(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> (B, C, H, F)."""
        hidden = hidden.to(self.eos.weight.dtype)
        return self.trunk(group_by_action(hidden, self.action_dim)).unflatten(-1, (self.latents, -1))

    def logits(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Hidden states and codes (B, C, H, K) -> logits (B, K, C, H, V), given the true codes of coarser layers."""
        features = self.chain_features(hidden)
        logits = self.chain_logits(features.flatten(0, 2), codes.flatten(0, 2))
        return logits.unflatten(1, features.shape[:3]).transpose(0, 1)

    def token_logits(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> (B, C·H, V + 1): the coarsest layer's codes, and EOS."""
        features = self.chain_features(hidden)
        chains = features.flatten(0, 2)
        codes = torch.zeros(len(chains), self.layers, dtype=torch.int64, device=chains.device)
        coarsest = self.chain_logits(chains, codes)[0]
        return torch.cat([coarsest, self.eos(chains)], dim=-1).unflatten(0, (len(features), -1))

    def loss(self, hidden: Tensor, codes: Tensor, targets: ActionTargets) -> Tensor:
        """Cross-entropy of the codes (B, C, H, K) of actions that count, plus that of EOS where it is taught."""
        features = self.chain_features(hidden)
        chains = features.flatten(0, 2)
        logits = self.chain_logits(chains, codes.flatten(0, 2))
        wrong = functional.cross_entropy(logits.flatten(0, 1), codes.flatten(0, 2).T.flatten(), reduction="none")
        wrong = wrong.unflatten(0, (self.layers, *features.shape[:3]))
        weight = self.config.layer_discount ** torch.arange(self.layers, device=wrong.device)
        by_layer = torch.stack([masked_mean(layer, targets.mask) for layer in wrong])
        loss = (by_layer * weight).sum() / weight.sum()
        if not self.config.use_substep_eos:
            return loss
        log_odds = self.eos(chains)[:, 0] - logits[0].logsumexp(-1)
        return loss + token_eos_loss(log_odds.unflatten(0, features.shape[:3]), targets)

    @property
    def tokens(self) -> CodeTokens:
        return CodeTokens(self.levels)

"""Discrete action tokens, all slots in parallel, with EOS among the tokens (T1, T2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from substep_policy.action_tokens import BINS, ActionTokenizer
from substep_policy.configuration import configuration
from substep_policy.heads.targets import ActionTargets, masked_mean
from substep_policy.observation import ACTION_DIM


@configuration
class DiscreteHeadConfig:
    """The vocabulary is EOS (id 0) and the 256 action tokens.

    ``use_substep_eos``: train EOS where a substep ends in the chunk (S5); without it EOS cannot be read from tokens.
    """

    type: Literal["tokens"] = "tokens"
    use_substep_eos: bool = True

    @property
    def tokenizer(self) -> ActionTokenizer:
        return ActionTokenizer(vocabulary_size=BINS + 1, eos_token_id=0)


class TokenActionHead(nn.Module, ABC):
    """(B, C·A, D) hidden states -> logits (B, C·A, V), one token per action dimension.

    The slots are predicted in parallel, so a token that *follows* the last action of a substep has no slot of its
    own: the EOS that closes a chunk with a boundary (S5) is predicted in that action's last slot, where a causal
    model would predict what comes next. Reading it back as ``position // A`` then names the action itself (T1). The
    slot's action token is trained beside it, on the distribution without EOS, so that cutting the chunk there loses
    nothing. Without ``use_substep_eos`` nothing is learned of EOS.
    """

    def __init__(self, tokenizer: ActionTokenizer, use_substep_eos: bool, action_dim: int = ACTION_DIM) -> None:
        super().__init__()
        self.tokenizer, self.use_substep_eos, self.action_dim = tokenizer, use_substep_eos, action_dim

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> (B, C·A, V)."""

    def loss(self, hidden: Tensor, targets: ActionTargets) -> Tensor:
        """Cross-entropy of the action tokens (without EOS), plus, with ``use_substep_eos``, of EOS against the rest."""
        logits = self.logits(hidden).float()
        tokens = self.tokenizer.encode(targets.actions).flatten(1)
        action_loss = functional.cross_entropy(self._without_eos(logits).transpose(1, 2), tokens, reduction="none")
        action_loss = masked_mean(action_loss.reshape(targets.actions.shape), targets.mask)
        return action_loss + self._eos_loss(logits, targets) if self.use_substep_eos else action_loss

    def _eos_loss(self, logits: Tensor, targets: ActionTargets) -> Tensor:
        is_eos = torch.zeros_like(targets.actions, dtype=logits.dtype)
        is_eos[..., -1:] = targets.eos_labels
        eos_loss = functional.binary_cross_entropy_with_logits(
            self.eos_log_odds(logits).reshape(is_eos.shape), is_eos, reduction="none"
        )
        return masked_mean(eos_loss, targets.eos_mask)

    def eos_log_odds(self, logits: Tensor) -> Tensor:
        """(B, C·A, V) -> (B, C·A): log P(EOS) − log P(any other token)."""
        return logits[..., self.tokenizer.eos_token_id] - self._without_eos(logits).logsumexp(-1)

    def decode(self, logits: Tensor) -> Tensor:
        """(B, C·A, V) -> (B, C, A) normalised actions: the likeliest action token of each slot, all others left out."""
        first = self.tokenizer.first_action_token
        tokens = logits[..., first : self.tokenizer.vocabulary_size].argmax(dim=-1) + first
        return self.tokenizer.decode(tokens).reshape(len(logits), -1, self.action_dim)

    def predict(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> (B, C, A) normalised actions."""
        return self.decode(self.logits(hidden))

    def _without_eos(self, logits: Tensor) -> Tensor:
        eos = torch.arange(logits.shape[-1], device=logits.device) == self.tokenizer.eos_token_id
        return logits.masked_fill(eos, -torch.inf)


class DiscreteActionHead(TokenActionHead):
    """Tokens of a vocabulary of its own."""

    def __init__(self, config: DiscreteHeadConfig, input_dim: int, action_dim: int = ACTION_DIM) -> None:
        super().__init__(config.tokenizer, config.use_substep_eos, action_dim)
        self.norm = nn.LayerNorm(input_dim)
        self.projection = nn.Linear(input_dim, self.tokenizer.vocabulary_size)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.projection(self.norm(hidden))


class LanguageModelActionHead(TokenActionHead):
    """Tokens of the language model's vocabulary, by its own output layer; has no weights of its own."""

    def __init__(
        self, tokenizer: ActionTokenizer, use_substep_eos: bool, token_logits: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__(tokenizer, use_substep_eos)
        self._token_logits = token_logits

    def logits(self, hidden: Tensor) -> Tensor:
        return self._token_logits(hidden)

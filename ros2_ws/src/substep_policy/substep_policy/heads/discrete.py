"""Discrete action tokens, all slots in parallel, with EOS among the tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from substep_core.configuration import configuration
from substep_policy.eos import EosSource
from substep_policy.heads.action_tokens import BINS, ActionTokenizer
from substep_policy.heads.decoder import CONTINUOUS, DecoderShape, OnePassDecoder, Vocabulary
from substep_policy.heads.targets import ActionTargets, masked_mean
from substep_policy.heads.token_eos import token_eos_loss


@configuration
class TokenHeadConfig:
    """Actions as 256 tokens: the last ids of the backbone's own vocabulary where it is a language model, whose ``</s>``
    is EOS; else of a vocabulary of EOS (id 0) and the action tokens.

    ``use_substep_eos``: train EOS where a substep ends in the chunk; without it EOS cannot be read from tokens.
    """

    type: Literal["tokens"] = "tokens"
    use_substep_eos: bool = True

    fills_slots: ClassVar[bool] = False

    @property
    def eos_sources(self) -> frozenset[EosSource]:
        return CONTINUOUS | {EosSource.TOKEN} if self.use_substep_eos else CONTINUOUS

    def tokenizer(self, vocabulary: Vocabulary | None) -> ActionTokenizer:
        """Raises: ValueError: the language model's vocabulary has no room for actions."""
        if vocabulary is None:
            return ActionTokenizer(vocabulary_size=BINS + 1, eos_token_id=0)
        return ActionTokenizer(vocabulary.size, vocabulary.eos_token_id)

    def build(self, shape: DecoderShape) -> TokenDecoder:
        if shape.vocabulary is None:
            return TokenDecoder(DiscreteActionHead(self, shape.hidden_dim, shape.action_dim))
        return TokenDecoder(LanguageModelActionHead(self, shape))


class TokenDecoder(OnePassDecoder):
    """Also says what token each slot holds."""

    head: TokenActionHead

    @property
    def draws(self) -> bool:
        return False

    @property
    def tokenizer(self) -> ActionTokenizer:
        return self.head.tokenizer

    @property
    def tokens_per_action(self) -> int:
        return self.head.action_dim

    def token_logits(self, hidden: Tensor) -> Tensor:
        return self.head.logits(hidden)


class TokenActionHead(nn.Module, ABC):
    """(B, C·A, D) hidden states -> logits (B, C·A, V), one token per action dimension.

    The slots are predicted in parallel, so a token that *follows* the last action of a substep has no slot of its
    own: the EOS that closes a chunk with a boundary is predicted in that action's last slot, where a causal
    model would predict what comes next. Reading it back as ``position // A`` then names the action itself. The
    slot's action token is trained beside it, on the distribution without EOS, so that cutting the chunk there loses
    nothing. Without ``use_substep_eos`` nothing is learned of EOS.
    """

    def __init__(self, tokenizer: ActionTokenizer, use_substep_eos: bool, action_dim: int) -> None:
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
        if not self.use_substep_eos:
            return action_loss
        log_odds = self.eos_log_odds(logits).reshape(targets.actions.shape)
        return action_loss + token_eos_loss(log_odds, targets)

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

    def __init__(self, config: TokenHeadConfig, input_dim: int, action_dim: int) -> None:
        super().__init__(config.tokenizer(None), config.use_substep_eos, action_dim)
        self.norm = nn.LayerNorm(input_dim)
        self.projection = nn.Linear(input_dim, self.tokenizer.vocabulary_size)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.projection(self.norm(hidden))


class LanguageModelActionHead(TokenActionHead):
    """Tokens of the language model's vocabulary, by its own output layer; has no weights of its own."""

    def __init__(self, config: TokenHeadConfig, shape: DecoderShape) -> None:
        super().__init__(config.tokenizer(shape.vocabulary), config.use_substep_eos, shape.action_dim)
        self._token_logits = shape.token_logits

    def logits(self, hidden: Tensor) -> Tensor:
        return self._token_logits(hidden)

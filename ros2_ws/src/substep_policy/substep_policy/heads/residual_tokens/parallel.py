"""All codes at once: each from the hidden states alone."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from substep_core.configuration import configuration
from substep_policy.heads.decoder import DecoderShape
from substep_policy.heads.residual_tokens.config import ResidualTokensConfig
from substep_policy.heads.residual_tokens.decoder import ResidualTokenDecoder
from substep_policy.heads.residual_tokens.head import CodeHead


@configuration
class ParallelTokensConfig(ResidualTokensConfig):
    """Residual codes (RFSQ) in one pass."""

    type: Literal["rfsq_parallel"] = "rfsq_parallel"

    def build(self, shape: DecoderShape) -> ResidualTokenDecoder:
        """Raises: ValueError: the tokenizer is for chunks of another shape."""
        return ResidualTokenDecoder(ParallelHead(self, shape))


class ParallelHead(CodeHead):
    """No layer sees another one's codes."""

    def __init__(self, config: ParallelTokensConfig, shape: DecoderShape) -> None:
        super().__init__(config, shape)
        self.norm = nn.LayerNorm(config.chain_dim)
        self.projection = nn.Linear(config.chain_dim, self.layers * self.levels)

    def chain_logits(self, features: Tensor, codes: Tensor) -> Tensor:
        return self._logits(features)

    def greedy(self, features: Tensor) -> Tensor:
        return self._logits(features).argmax(-1).T

    def _logits(self, features: Tensor) -> Tensor:
        """(N, F) -> (K, N, V)."""
        return self.projection(self.norm(features)).unflatten(-1, (self.layers, self.levels)).transpose(0, 1)

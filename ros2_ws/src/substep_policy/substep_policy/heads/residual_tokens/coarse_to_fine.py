"""Codes coarse to fine: each layer sees the codes of those before it, scalar by scalar."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from substep_core.configuration import configuration
from substep_policy.heads.decoder import DecoderShape
from substep_policy.heads.residual_tokens.config import ResidualTokensConfig
from substep_policy.heads.residual_tokens.decoder import ResidualTokenDecoder
from substep_policy.heads.residual_tokens.draft import DraftConfig, DraftHead
from substep_policy.heads.residual_tokens.head import CodeHead
from substep_policy.heads.residual_tokens.speculative import SpeculativeChoice, sample
from substep_policy.models.sizes import Width


@configuration
class CoarseToFineConfig(ResidualTokensConfig):
    """Residual codes (RFSQ), layer after layer.

    Attributes:
        chain_hidden_dim: width of the network that a chain's layer goes through.
        choice: of each layer, the ``likeliest`` code; or the codes of the ``median`` of a scalar's whole distribution,
            whose error is smaller: the likeliest coarse code may be the end of a range that is likelier as a whole.
        temperature: codes are drawn from the distribution at it; 0 takes them as ``choice`` says.
        draft: of speculative decoding, which gives the same codes in fewer passes; None decodes layer by layer.
    """

    type: Literal["rfsq_coarse_to_fine"] = "rfsq_coarse_to_fine"
    chain_hidden_dim: Width = 64
    choice: Literal["likeliest", "median"] = "likeliest"
    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    draft: DraftConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.choice == "median" and (self.temperature > 0 or self.draft is not None):
            raise ValueError(
                f"choice is 'median', with temperature {self.temperature} and draft {self.draft}: expected temperature "
                "0 and no draft, whose guesses are of the likeliest codes and of codes that are drawn"
            )

    def build(self, shape: DecoderShape) -> ResidualTokenDecoder:
        """Raises: ValueError: the tokenizer is for chunks of another shape."""
        head, temperature = CoarseToFineHead(self, shape), self.temperature
        draws = temperature > 0
        if self.draft is not None:
            draft = DraftHead(self.draft, self.chain_dim, head.layers, head.levels)
            return ResidualTokenDecoder(head, SpeculativeChoice(head, draft, temperature), draft, draws)
        if draws:
            return ResidualTokenDecoder(head, partial(sample, head, temperature=temperature), draws=True)
        return ResidualTokenDecoder(head, head.median if self.choice == "median" else head.greedy)


class CoarseToFineHead(CodeHead):
    """A chain's layer k is read from its features plus the embeddings of its codes 0 to k − 1, by one small network."""

    def __init__(self, config: CoarseToFineConfig, shape: DecoderShape) -> None:
        super().__init__(config, shape)
        width = config.chain_dim
        self.layer = nn.Parameter(torch.empty(self.layers, width))
        self.code = nn.Parameter(torch.empty(self.layers, self.levels, width))
        self.norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, config.chain_hidden_dim), nn.Linear(config.chain_hidden_dim, self.levels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Of the embeddings alone."""
        nn.init.normal_(self.layer, std=0.1)
        nn.init.normal_(self.code, std=0.3)

    def chain_logits(self, features: Tensor, codes: Tensor) -> Tensor:
        return self.read(self.states(features, codes))

    def states(self, features: Tensor, codes: Tensor) -> Tensor:
        """(N, F) and codes (N, K) -> (K, N, F), what each layer sees. Summed in order, as layer after layer does."""
        states, sums = [features + self.layer[0]], features
        for layer in range(self.layers - 1):
            sums = self.extended(sums, layer, codes[:, layer])
            states.append(sums + self.layer[layer + 1])
        return torch.stack(states)

    def extended(self, sums: Tensor, layer: int, codes: Tensor) -> Tensor:
        """The sum (N, F) of features and codes of coarser layers, with this layer's codes (N,) too."""
        return sums + functional.embedding(codes, self.code[layer])

    def read(self, states: Tensor) -> Tensor:
        """(N, F) -> logits (N, V), or a stack of such matrices, each with the same bits as alone."""
        return self._linear(functional.relu(self._linear(self.norm(states), self.fc1)), self.fc2)

    def greedy(self, features: Tensor) -> Tensor:
        sums, codes = features, []
        for layer in range(self.layers):
            codes.append(self.read(sums + self.layer[layer]).argmax(-1))
            if layer + 1 < self.layers:
                sums = self.extended(sums, layer, codes[-1])
        return torch.stack(codes, dim=-1)

    def median(self, features: Tensor) -> Tensor:
        """Features (N, F) -> int64 codes (N, K) of the value that half of a scalar's distribution lies below.

        A layer's codes are in the order of the values that they stand for. So the median lies in the first code at
        which half is reached; the layer behind goes on within it, at the share of it that is left.
        """
        sums, codes = features, []
        rank = features.new_full((len(features), 1), 0.5, dtype=torch.float64)  # in (0, 1] of what is left
        for layer in range(self.layers):
            reached = self.read(sums + self.layer[layer]).double().softmax(-1).cumsum(-1)
            reached[:, -1] = 1.0
            code = (reached < rank).sum(-1, keepdim=True)
            below = functional.pad(reached, (1, 0)).gather(-1, code)
            rank = (rank - below) / (reached.gather(-1, code) - below)
            codes.append(code[:, 0])
            if layer + 1 < self.layers:
                sums = self.extended(sums, layer, codes[-1])
        return torch.stack(codes, dim=-1)

    @staticmethod
    def _linear(x: Tensor, linear: nn.Linear) -> Tensor:
        """A processor's product gives a row the same bits among however many rows; a GPU's goes by the shape."""
        is_stack = x.ndim > 2
        return torch.stack([linear(matrix) for matrix in x.unbind()]) if is_stack and x.is_cuda else linear(x)

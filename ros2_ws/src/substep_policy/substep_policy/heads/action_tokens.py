"""Actions as tokens: 256 uniform bins per dimension at the end of the vocabulary (RT-2, OpenVLA), and EOS."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 256


@dataclass(frozen=True)
class ActionTokenizer:
    """Maps normalised actions in [−1, 1] to token ids and back.

    Attributes:
        vocabulary_size: the action tokens are the last 256 ids below it, −1 being the highest id.
        eos_token_id: says that a substep ends (``TokenActionHead``); must lie outside the action tokens.
    """

    vocabulary_size: int
    eos_token_id: int

    def __post_init__(self) -> None:
        if self.vocabulary_size < BINS:
            raise ValueError(f"vocabulary_size is {self.vocabulary_size}, too small for {BINS} action tokens")
        if not 0 <= self.eos_token_id < self.first_action_token:
            raise ValueError(
                f"eos_token_id is {self.eos_token_id}, must be in 0..{self.first_action_token - 1}: "
                f"ids from {self.first_action_token} on are action tokens"
            )

    @property
    def first_action_token(self) -> int:
        return self.vocabulary_size - BINS

    def encode(self, actions: Tensor) -> Tensor:
        """Actions of any shape -> int64 token ids of the same shape; values beyond ±1 fall into the outer bins."""
        edges = torch.linspace(-1.0, 1.0, BINS, dtype=torch.float64, device=actions.device)
        bins = torch.bucketize(actions.double().clamp(-1.0, 1.0), edges, right=True)
        return self.vocabulary_size - bins

    def decode(self, tokens: Tensor) -> Tensor:
        """Action token ids of any shape -> float32 bin centres.

        Raises:
            ValueError: an id is not an action token (EOS included).
        """
        if ((tokens < self.first_action_token) | (tokens >= self.vocabulary_size)).any():
            raise ValueError(
                f"token ids {tokens.min().item()}..{tokens.max().item()} hold other tokens than actions, "
                f"which are {self.first_action_token}..{self.vocabulary_size - 1}"
            )
        edges = torch.linspace(-1.0, 1.0, BINS, dtype=torch.float64, device=tokens.device)
        centres = (edges[:-1] + edges[1:]) / 2
        return centres[(self.vocabulary_size - tokens - 1).clamp(max=BINS - 2)].float()

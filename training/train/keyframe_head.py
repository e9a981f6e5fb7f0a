"""The head that learns the way to the keyframe (``training.data.keyframes``). Training alone has it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

UNIT = 0.1  # m: makes the loss about as large as that of normalised actions


class KeyframeHead(nn.Module):
    """``actions_hidden_states`` (B, C·A, D) -> way to the keyframe (B, 3), in ``UNIT``, base frame."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.way = nn.Linear(hidden_dim, 3)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.way(hidden.mean(1))

    def loss(self, hidden: Tensor, way: Tensor, mask: Tensor) -> Tensor:
        """Mean L1 distance from ``way`` (B, 3) in metres, in ``UNIT``, over the samples in ``mask`` (B,) bool."""
        errors = (self(hidden) - way / UNIT).abs().mean(1)
        return torch.where(mask, errors, 0.0).sum() / mask.sum().clamp(min=1)

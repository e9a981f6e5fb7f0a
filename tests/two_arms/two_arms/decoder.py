"""An action decoder: reads the first and the last action of a chunk, and goes straight from one to the other."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from substep_core.configuration import configuration
from substep_policy.eos import EosSource
from substep_policy.heads.decoder import CONTINUOUS, DecoderShape, OnePassDecoder
from substep_policy.heads.targets import ActionTargets, group_by_action, masked_mean


@configuration
class LineConfig:
    """``action_head: {type: line}``; implements ``substep_policy.heads.decoder.DecoderConfig``."""

    type: Literal["line"] = "line"

    fills_slots: ClassVar[bool] = False
    eos_sources: ClassVar[frozenset[EosSource]] = CONTINUOUS

    def build(self, shape: DecoderShape) -> OnePassDecoder:
        return OnePassDecoder(LineHead(shape))


class LineHead(nn.Module):
    """(B, C·A, D) hidden states -> (B, C, A) normalised actions."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.end = nn.Linear(shape.hidden_dim * shape.action_dim, shape.action_dim)

    def predict(self, hidden: Tensor) -> Tensor:
        first, last = self.end(group_by_action(hidden, self.shape.action_dim)[:, [0, -1]]).split(1, dim=1)
        return torch.lerp(first, last, torch.linspace(0, 1, self.shape.chunk_length).to(hidden)[None, :, None])

    def loss(self, hidden: Tensor, targets: ActionTargets) -> Tensor:
        return masked_mean((self.predict(hidden) - targets.actions).abs(), targets.mask)

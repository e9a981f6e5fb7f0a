"""The end-of-substep (EOS) classifier on the backbone's action hidden states."""

from __future__ import annotations

from torch import Tensor, nn

from substep_core.configuration import configuration
from substep_policy.heads.targets import group_by_action
from substep_policy.models.sizes import Width


@configuration
class EOSHeadConfig:
    """Sizes of the head. The defaults are the shipped policy's."""

    hidden_dim: Width = 1024
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}, must be in [0, 1)")


class EOSClassificationHead(nn.Module):
    """(B, C·A, D) hidden states -> (B, C, 1) logits: is this action the last of its substep."""

    def __init__(self, config: EOSHeadConfig, input_dim: int, action_dim: int) -> None:
        super().__init__()
        self.action_dim = action_dim
        self.model = nn.Sequential(
            nn.LayerNorm(input_dim * action_dim),
            nn.Linear(input_dim * action_dim, config.hidden_dim),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden_dim, 1),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> (B, C, 1). One buffered entry (A, D) is a chunk of length 1: (N, A, D) -> (N, 1, 1)."""
        return self.model(group_by_action(hidden, self.action_dim))

"""Training targets of an action head. Shapes: B batch, C chunk length, A action dimension."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ActionTargets:
    """Targets of one batch.

    Attributes:
        actions: (B, C, A) normalised actions.
        mask: (B, C) bool; False where an action does not count (padding, or another substep's action).
        eos_labels: (B, C, 1) float, 1 where the action is the last of its substep, at most once a chunk.
    """

    actions: Tensor
    mask: Tensor
    eos_labels: Tensor

    @property
    def eos_mask(self) -> Tensor:
        """(B, C) bool: where EOS among the tokens is learned. With the actions; and at the first action where the
        substep is over already, though no action is right there.
        """
        is_over = torch.zeros_like(self.mask)
        is_over[:, 0] = self.eos_labels[:, 0, 0] > 0.5
        return self.mask | is_over


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of (B, C, A) values over the True entries of a (B, C) mask; 0 when there are none."""
    weight = mask.to(values.dtype).unsqueeze(-1).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=1.0)


def group_by_action(hidden: Tensor, action_dim: int) -> Tensor:
    """(B, C·A, D) hidden states -> (B, C, A·D), one vector per action.

    Raises:
        ValueError: the second dimension is not a multiple of ``action_dim``.
    """
    batch, tokens, width = hidden.shape
    if tokens % action_dim:
        raise ValueError(f"{tokens} action tokens cannot be grouped into actions of {action_dim} dimensions")
    return hidden.reshape(batch, tokens // action_dim, action_dim * width)

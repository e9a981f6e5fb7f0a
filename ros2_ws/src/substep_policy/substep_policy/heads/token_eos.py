"""How heads that emit tokens are taught EOS."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from substep_policy.heads.targets import ActionTargets, masked_mean


def token_eos_loss(log_odds: Tensor, targets: ActionTargets) -> Tensor:
    """Cross-entropy of EOS against all other tokens.

    Args:
        log_odds: (B, C, N) of EOS in each of an action's N tokens; right in the last of the boundary's action alone.
    """
    is_eos = torch.zeros_like(log_odds)
    is_eos[..., -1:] = targets.eos_labels
    loss = functional.binary_cross_entropy_with_logits(log_odds, is_eos, reduction="none")
    return masked_mean(loss, targets.eos_mask)

"""Loss of answers in tokens of a language model: words, or actions as tokens."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def answer_loss(logits: Tensor, ids: Tensor, counts: Tensor, over_padding: bool = False) -> Tensor:
    """Cross-entropy of answers: the mean over each answer's own tokens, then over the answers; 0 if there are none.

    Args:
        logits: (B, S, V); ids: (B, S) what is to be said; counts: (B, S) bool.
        over_padding: the mean over all B · S places, padding with loss 0 among them, so that an answer counts the less
            the longer the longest of its batch is. Only to compare.
    """
    losses = cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none").view(ids.shape) * counts
    if over_padding:
        return losses.sum() / max(losses.numel(), 1)
    lengths = counts.sum(dim=1)
    return (losses.sum(dim=1) / lengths.clamp(min=1)).sum() / (lengths > 0).sum().clamp(min=1)

"""Losses of the EOS head."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from substep_core.configuration import configuration


@configuration
class FocalLoss:
    """−α_t (1 − p_t)^γ log p_t (Lin et al. 2017): easy examples count little."""

    type: Literal["focal"] = "focal"
    alpha: float = 0.25
    gamma: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1 or self.gamma < 0:
            raise ValueError(f"alpha is {self.alpha} (0 to 1), gamma is {self.gamma} (0 or more)")


@configuration
class WeightedBCE:
    """Binary cross-entropy with a fixed weight on positives."""

    type: Literal["bce"] = "bce"
    pos_weight: float = 20.0

    def __post_init__(self) -> None:
        if self.pos_weight <= 0:
            raise ValueError(f"pos_weight is {self.pos_weight}, must be above 0")


@configuration
class BatchRatioBCE:
    """Binary cross-entropy with the batch's own ratio of negatives to positives as the weight on positives.

    Attributes:
        max_weight: bounds it; a batch without positives is weighted by 1.
    """

    type: Literal["bce_batch_ratio"] = "bce_batch_ratio"
    max_weight: float = 100.0


EosLoss = Annotated[FocalLoss | WeightedBCE | BatchRatioBCE, Field(discriminator="type")]


def eos_loss(config: EosLoss, logits: Tensor, labels: Tensor) -> Tensor:
    """Logits and labels (0 or 1) of the same shape -> mean loss."""
    labels = labels.to(logits.dtype)
    match config:
        case FocalLoss():
            return focal_loss(logits, labels, config.alpha, config.gamma)
        case WeightedBCE():
            weight = torch.tensor(config.pos_weight, device=logits.device)
            return functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight)
        case BatchRatioBCE():
            weight = batch_ratio(labels, config.max_weight)
            return functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight)
    raise TypeError(f"{type(config).__name__} is not the configuration of an EOS loss")


def focal_loss(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """Mean focal loss, computed from logits so that it stays finite."""
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    probability = torch.sigmoid(logits)
    missed = torch.where(labels > 0.5, 1 - probability, probability)
    weight = torch.where(labels > 0.5, alpha, 1 - alpha)
    return (weight * missed**gamma * cross_entropy).mean()


def batch_ratio(labels: Tensor, max_weight: float) -> Tensor:
    """Negatives per positive in the batch, within [1, max_weight]; 1 without positives."""
    positives = labels.sum()
    ratio = (labels.numel() - positives) / positives.clamp(min=1)
    return torch.where(positives > 0, ratio.clamp(1.0, max_weight), torch.ones_like(ratio))

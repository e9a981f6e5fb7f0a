"""Guidance: a chunk that is walked from noise is drawn to what is left of the last one (real-time chunking).

Black, Galliker and Levine 2025, "Real-Time Execution of Action Chunking Flow Policies". With τ from 0 (noise) to 1
(actions), x_τ = τ·actions + (1 − τ)·noise and the velocity v(x, τ) = actions − noise, a step estimates the actions as
A¹(x) = x + (1 − τ)·v. What is left of the last chunk is Y, filled up with zeros, and W says how much an action counts:

    v ← v + min(β, (1 − τ)/τ · (τ² + (1 − τ)²)/(1 − τ)²) · J(x)ᵀ((Y − A¹) ∘ W)

``GradientGuidance`` is that: J is the derivative of A¹, through the network. ``IdentityGuidance`` puts the identity in
its place, which needs no gradient; other code calls that real-time chunking, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from substep_policy.guidance_settings import GuidanceSettings, Schedule

TARGET, WEIGHTS = "guide_target", "guide_weights"  # model inputs (B, C, A) and (B, C)

# x (B, C, W) -> the estimate of the actions (B, C, W), and what else comes of the same pass
Denoise = Callable[[Tensor], tuple[Tensor, ...]]


class Guidance(Protocol):
    """A way to draw a chunk to the last one.

    Attributes:
        traces_gradient: it differentiates the network.
        schedule: of the weights of what is left.
    """

    traces_gradient: bool
    max_weight: float
    schedule: Schedule

    def pull(self, denoise: Denoise, x: Tensor, guide: Guide) -> tuple[Tensor, ...]:
        """Where x (B, C, W) is drawn to (B, C, W), before it is weighted; and behind it what ``denoise`` gives."""


@dataclass(frozen=True)
class GradientGuidance:
    """The published rule: one more pass back through the network a step."""

    max_weight: float
    schedule: Schedule
    traces_gradient: bool = True

    def pull(self, denoise: Denoise, x: Tensor, guide: Guide) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            estimate, *others = denoise(x)
            (pulled,) = torch.autograd.grad(estimate, x, guide.error(estimate.detach()))
        return pulled, *(item.detach() for item in (estimate, *others))


@dataclass(frozen=True)
class IdentityGuidance:
    """The identity in place of the derivative."""

    max_weight: float
    schedule: Schedule
    traces_gradient: bool = False

    def pull(self, denoise: Denoise, x: Tensor, guide: Guide) -> tuple[Tensor, ...]:
        estimate, *others = denoise(x)
        return guide.error(estimate), estimate, *others


@dataclass(frozen=True)
class Guide:
    """What one batch is drawn to: target (B, C, A), normalised, with weights (B, C)."""

    guidance: Guidance
    target: Tensor
    weights: Tensor

    def error(self, estimate: Tensor) -> Tensor:
        """(Y − A¹) ∘ W (B, C, W); values beyond the robot's count for nothing."""
        values = self.target.shape[-1]
        error = (self.target - estimate[..., :values]) * self.weights.unsqueeze(-1)
        return pad(error, (0, estimate.shape[-1] - values))

    def correction(self, denoise: Denoise, x: Tensor, tau: float) -> tuple[Tensor, ...]:
        """What the velocity at τ is corrected by (B, C, W); and behind it what ``denoise`` gives."""
        pulled, *found = self.guidance.pull(denoise, x, self)
        return strength(tau, self.guidance.max_weight) * pulled, *found


def strength(tau: float, most: float) -> float:
    """The weight of the correction at τ, from 0 to 1; ``most`` is β."""
    if tau <= 0.0 or tau >= 1.0:
        return most
    return min(most, (1 - tau) / tau * (tau**2 + (1 - tau) ** 2) / (1 - tau) ** 2)


def soft_mask(schedule: Schedule, length: int, delay: int, left: int) -> np.ndarray:
    """(length,) W: 1 for the first ``delay`` actions, falling to 0 at the first one that nothing is left of.

    Args:
        length: actions of a chunk, H.
        delay: of them those that are played before the chunk comes, d.
        left: actions that are left of the last chunk, E = H − s.
    """
    left = min(left, length)
    delay = min(delay, left)
    places = np.arange(length)
    linear = np.clip((delay - 1 - places) / (left - delay + 1) + 1, 0.0, 1.0)
    falling = {
        Schedule.EXPONENTIAL: linear * np.expm1(linear) / math.expm1(1.0),
        Schedule.LINEAR: linear,
        Schedule.ONES: np.ones(length),
        Schedule.ZEROS: np.zeros(length),
    }[schedule]
    weights = np.where(places < delay, 1.0, falling)
    return np.where(places < left, weights, 0.0).astype(np.float32)


def gradient(settings: GuidanceSettings) -> GradientGuidance:
    return GradientGuidance(settings.weight, settings.schedule)


def identity(settings: GuidanceSettings) -> IdentityGuidance:
    return IdentityGuidance(settings.weight, settings.schedule)

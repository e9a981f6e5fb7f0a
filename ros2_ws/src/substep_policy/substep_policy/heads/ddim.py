"""Denoising diffusion with the deterministic DDIM sampler (Song et al. 2021, eta = 0)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from substep_policy.heads.guidance import Denoise, Guide


def squared_cosine_alpha_bars(steps: int, max_beta: float = 0.999) -> Tensor:
    """(steps,) float64 cumulative products of 1 − β of the squared-cosine schedule (Nichol & Dhariwal 2021)."""

    def signal(fraction: float) -> float:
        return math.cos((fraction + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - signal((i + 1) / steps) / signal(i / steps), max_beta) for i in range(steps)]
    return torch.cumprod(1.0 - torch.tensor(betas, dtype=torch.float64, device="cpu"), dim=0)


def add_noise(clean: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t = √ᾱ·x_0 + √(1−ᾱ)·ε, with ``alpha_bar`` (B,) broadcast over clean (B, …)."""
    alpha_bar = alpha_bar.reshape(-1, *[1] * (clean.dim() - 1))
    return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise


def ddim_step(noisy: Tensor, noise: Tensor, alpha_bar: float, previous_alpha_bar: float) -> Tensor:
    """One deterministic step towards clean data; the estimate of x_0 is clipped to [−1, 1], as actions are.

    The noise is then what leads from the clipped estimate to ``noisy``.
    """
    return towards(*ddim_estimate(noisy, noise, alpha_bar), previous_alpha_bar)


def ddim_estimate(noisy: Tensor, noise: Tensor, alpha_bar: float) -> tuple[Tensor, Tensor]:
    """-> x_0, clipped, and the noise that leads from there to ``noisy``."""
    clean = clean_estimate(noisy, noise, alpha_bar)
    return clean, _noise_from(clean, noisy, alpha_bar)


def traced_estimate(noisy: Tensor, noise: Tensor, alpha_bar: float) -> tuple[Tensor, Tensor]:
    """As ``ddim_estimate``, with the derivative of what was not clipped: clipping only steadies the walk, and its own
    derivative, 0 where it acts, would hide the network's."""
    free = (noisy - math.sqrt(1 - alpha_bar) * noise) / math.sqrt(alpha_bar)
    clean = free + (free.clamp(-1.0, 1.0) - free).detach()
    return clean, _noise_from(clean, noisy, alpha_bar)


def _noise_from(clean: Tensor, noisy: Tensor, alpha_bar: float) -> Tensor:
    return (noisy - math.sqrt(alpha_bar) * clean) / math.sqrt(1 - alpha_bar)


def guided_step(guide: Guide, estimate: Denoise, noisy: Tensor, alpha_bar: float, next_alpha_bar: float) -> Tensor:
    """One deterministic step, drawn to what ``guide`` says.

    With α = √ᾱ and σ = √(1−ᾱ), x/(α+σ) = τ·x_0 + (1−τ)·ε where τ = α/(α+σ): a flow, of which a DDIM step is an Euler
    step with the velocity x_0 − ε. That velocity is corrected.

    Args:
        estimate: noisy (B, …) -> x_0 and noise.
    """
    alpha, sigma = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
    total = alpha + sigma
    tau = alpha / total
    correction, clean, noise = guide.correction(lambda x: estimate(total * x), noisy / total, tau)
    return towards(clean + (1 - tau) * correction, noise - tau * correction, next_alpha_bar)


def clean_estimate(noisy: Tensor, noise: Tensor, alpha_bar: float) -> Tensor:
    """x_0 = (x_t − √(1−ᾱ)·ε) / √ᾱ, clipped to [−1, 1]."""
    return ((noisy - math.sqrt(1 - alpha_bar) * noise) / math.sqrt(alpha_bar)).clamp(-1.0, 1.0)


def towards(clean: Tensor, noise: Tensor, alpha_bar: float) -> Tensor:
    """The point with signal ᾱ between x_0 and ε."""
    return math.sqrt(alpha_bar) * clean + math.sqrt(1 - alpha_bar) * noise


def sampling_timesteps(train_steps: int, sampling_steps: int) -> list[int]:
    """Evenly spaced timesteps, noisiest first, ending at 0."""
    stride = train_steps // sampling_steps
    return [i * stride for i in reversed(range(sampling_steps))]

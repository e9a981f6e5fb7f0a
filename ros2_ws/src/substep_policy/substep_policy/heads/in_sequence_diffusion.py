"""Diffusion whose noisy actions go through the language model, as OpenVLA-OFT publishes it.

Each denoising step is a pass of the language model: the noisy actions stand in the action slots, one value a slot,
the step is a token of its own, and this head reads the noise from the slots' hidden states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from substep_policy.configuration import configuration
from substep_policy.heads.ddim import (
    add_noise,
    clean_estimate,
    sampling_timesteps,
    squared_cosine_alpha_bars,
    towards,
)
from substep_policy.heads.residual_mlp import ResidualMLP
from substep_policy.heads.targets import ActionTargets, group_by_action, masked_mean
from substep_policy.observation import ACTION_DIM


@configuration
class InSequenceDiffusionConfig:
    """``hidden_dim`` is the width of the MLP, ``blocks`` its residual blocks; steps as the published code has them."""

    type: Literal["in_sequence_diffusion"] = "in_sequence_diffusion"
    hidden_dim: int = 4096
    blocks: int = 2
    train_steps: int = 50
    sampling_steps: int = 50

    def __post_init__(self) -> None:
        if not 1 <= self.sampling_steps <= self.train_steps:
            raise ValueError(f"sampling_steps is {self.sampling_steps}, must be in 1..train_steps ({self.train_steps})")


@dataclass(frozen=True)
class DenoisingStep:
    """From signal ᾱ at ``timestep`` to the next, cleaner one."""

    timestep: int
    alpha_bar: float
    next_alpha_bar: float


class NoisePredictionHead(nn.Module):
    """(B, C·A, D) hidden states -> (B, C, A) the noise in the actions that stood in the slots."""

    def __init__(self, config: InSequenceDiffusionConfig, input_dim: int, action_dim: int = ACTION_DIM) -> None:
        super().__init__()
        self.config, self.action_dim, self.time_dim = config, action_dim, input_dim
        mlp = ResidualMLP(input_dim * action_dim, config.hidden_dim, action_dim, config.blocks)
        self.noise_predictor = nn.ModuleDict({"mlp_resnet": mlp})
        self._alpha_bars = tuple(squared_cosine_alpha_bars(config.train_steps).tolist())

    def predict_noise(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> (B, C, A)."""
        return self.noise_predictor["mlp_resnet"](group_by_action(hidden, self.action_dim))

    def steps(self) -> list[DenoisingStep]:
        """From pure noise to actions."""
        timesteps = sampling_timesteps(self.config.train_steps, self.config.sampling_steps)
        levels = [self._alpha_bars[timestep] for timestep in timesteps] + [1.0]
        return [DenoisingStep(*step) for step in zip(timesteps, levels[:-1], levels[1:], strict=True)]

    def denoise(self, noisy: Tensor, noise: Tensor, step: DenoisingStep) -> Tensor:
        """Noisy actions and predicted noise (B, C, A) -> the actions of the next step.

        The published sampler clips the estimate of the clean actions and keeps the predicted noise as it is.
        """
        return towards(clean_estimate(noisy, noise, step.alpha_bar), noise, step.next_alpha_bar)

    def time_embedding(self, timestep: Tensor) -> Tensor:
        """(B,) -> (B, D): sines then cosines; frequencies from 1 to 1/10000, both included."""
        half = self.time_dim // 2
        exponents = torch.arange(half, device=timestep.device, dtype=torch.float32) / max(half - 1, 1)
        angles = timestep.float().unsqueeze(-1) * torch.exp(-math.log(10_000.0) * exponents)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def corrupt(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Clean actions (B, C, A) -> noisy ones, their noise (B, C, A) and timesteps (B,), drawn at random."""
        noise = torch.randn_like(actions)
        timestep = torch.randint(self.config.train_steps, (len(actions),), device=actions.device)
        alpha_bar = torch.tensor(self._alpha_bars, dtype=actions.dtype, device=actions.device)[timestep]
        return add_noise(actions, noise, alpha_bar), noise, timestep

    def noise_loss(self, hidden: Tensor, noise: Tensor, targets: ActionTargets) -> Tensor:
        """Mean squared error of the predicted noise over the actions that count."""
        return masked_mean((self.predict_noise(hidden) - noise) ** 2, targets.mask)


class NoisyActionProjector(nn.Module):
    """Noisy actions (B, C, A) -> one embedding a value (B, C·A, width); module names as in published checkpoints."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.act_fn1, self.fc2 = nn.Linear(1, width), nn.GELU(), nn.Linear(width, width)

    def forward(self, noisy: Tensor) -> Tensor:
        return self.fc2(self.act_fn1(self.fc1(noisy.flatten(1).unsqueeze(-1))))

"""Continuous actions by denoising diffusion, conditioned on the hidden states alone.

OpenVLA-OFT feeds the noisy actions through the language model, which costs a pass of the backbone per denoising
step. Here the noise predictor is the head, so that the backbone runs once and need not know about diffusion.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from substep_core.configuration import configuration
from substep_policy.eos import EosSource
from substep_policy.heads.ddim import (
    add_noise,
    ddim_step,
    guided_step,
    sampling_timesteps,
    squared_cosine_alpha_bars,
    traced_estimate,
)
from substep_policy.heads.decoder import CONTINUOUS, Backbone, DecoderShape, OnePassDecoder, Prefix
from substep_policy.heads.guidance import Guide
from substep_policy.heads.residual_mlp import ResidualMLP
from substep_policy.heads.targets import ActionTargets, group_by_action, masked_mean
from substep_policy.models.sizes import Layers, Steps, Width


@configuration
class DiffusionHeadConfig:
    """``train_steps`` noise levels are trained, ``sampling_steps`` of them are walked to sample a chunk.

    Attributes:
        draws: noises and levels that training draws for each chunk. The backbone, which costs most, runs once for all
            of them, so several make the gradient less noisy for little.
    """

    type: Literal["diffusion"] = "diffusion"
    hidden_dim: Width = 512
    blocks: Layers = 2
    time_dim: Width = 64
    train_steps: Steps = 50
    sampling_steps: Steps = 10
    draws: int = Field(default=1, ge=1, le=64)

    fills_slots: ClassVar[bool] = False
    eos_sources: ClassVar[frozenset[EosSource]] = CONTINUOUS

    def __post_init__(self) -> None:
        if self.sampling_steps > self.train_steps:
            raise ValueError(f"sampling_steps is {self.sampling_steps}, must be in 1..train_steps ({self.train_steps})")
        if self.time_dim % 2:
            raise ValueError(f"time_dim is {self.time_dim}, must be even")

    def build(self, shape: DecoderShape) -> DiffusionDecoder:
        return DiffusionDecoder(DiffusionActionHead(self, shape.hidden_dim, shape.chunk_length, shape.action_dim))


class DiffusionActionHead(nn.Module):
    """(B, C·A, D) hidden states -> (B, C, A) normalised actions in [−1, 1], by DDIM from noise."""

    def __init__(self, config: DiffusionHeadConfig, input_dim: int, chunk_length: int, action_dim: int):
        super().__init__()
        self.config, self.chunk_length, self.action_dim = config, chunk_length, action_dim
        self.condition = nn.Linear(input_dim * action_dim, config.hidden_dim)
        inputs = config.hidden_dim + (1 + chunk_length) * action_dim + config.time_dim
        self.noise_predictor = ResidualMLP(inputs, config.hidden_dim, action_dim, config.blocks)
        self._alpha_bars = tuple(squared_cosine_alpha_bars(config.train_steps).tolist())

    def predict_noise(self, condition: Tensor, noisy: Tensor, timestep: Tensor) -> Tensor:
        """Condition (B, C, H), noisy actions (B, C, A), timestep (B,) -> noise (B, C, A).

        Each action sees itself and the whole noisy chunk, so that a chunk is denoised into one trajectory.
        """
        time = sinusoidal_embedding(timestep, self.config.time_dim).to(condition.dtype)
        rows = (-1, self.chunk_length, -1)
        chunk = noisy.flatten(1).unsqueeze(1).expand(*rows)
        features = [condition, noisy, chunk, time.unsqueeze(1).expand(*rows)]
        return self.noise_predictor(torch.cat(features, dim=-1))

    def loss(self, hidden: Tensor, targets: ActionTargets) -> Tensor:
        """Mean squared error of the predicted noise over the actions that count.

        Actions that do not count enter as pure noise: the network must not lean on them.
        """
        draws = self.config.draws
        mask = targets.mask.repeat_interleave(draws, dim=0)
        clean = targets.actions.repeat_interleave(draws, dim=0) * mask.unsqueeze(-1)
        noise = torch.randn_like(clean)
        timestep = torch.randint(self.config.train_steps, (len(clean),), device=clean.device)
        levels = torch.tensor(self._alpha_bars, dtype=clean.dtype, device=clean.device)
        noisy = add_noise(clean, noise, levels[timestep])
        noisy = torch.where(mask.unsqueeze(-1), noisy, noise)
        condition = self._condition(hidden).repeat_interleave(draws, dim=0)
        return masked_mean((self.predict_noise(condition, noisy, timestep) - noise) ** 2, mask)

    def predict(self, hidden: Tensor) -> Tensor:
        """(B, C·A, D) -> (B, C, A), from noise drawn from torch's generator."""
        return self.denoise(self._condition(hidden), self._noise(hidden))

    def predict_guided(self, hidden: Tensor, guide: Guide) -> Tensor:
        """As ``predict``, drawn to what ``guide`` says."""
        return self.denoise(self._condition(hidden), self._noise(hidden), guide)

    def _noise(self, hidden: Tensor) -> Tensor:
        shape = (len(hidden), self.chunk_length, self.action_dim)
        return torch.randn(shape, device=hidden.device, dtype=hidden.dtype)

    def denoise(self, condition: Tensor, noisy: Tensor, guide: Guide | None = None) -> Tensor:
        """Walk the noise (B, C, A) down to actions, given the condition (B, C, H), drawn to what ``guide`` says."""
        timesteps = sampling_timesteps(self.config.train_steps, self.config.sampling_steps)
        levels = [self._alpha_bars[t] for t in timesteps] + [1.0]
        for index, timestep in enumerate(timesteps):
            at = torch.full((len(noisy),), timestep, device=noisy.device)
            level, following = levels[index], levels[index + 1]
            if guide is None:
                noisy = ddim_step(noisy, self.predict_noise(condition, noisy, at), level, following)
                continue

            def estimate(noisy: Tensor, at: Tensor = at, level: float = level) -> tuple[Tensor, ...]:
                return traced_estimate(noisy, self.predict_noise(condition, noisy, at), level)

            noisy = guided_step(guide, estimate, noisy, level, following)
        return noisy

    def _condition(self, hidden: Tensor) -> Tensor:
        return self.condition(group_by_action(hidden, self.action_dim))


class DiffusionDecoder(OnePassDecoder):
    """One pass of the backbone, and a walk of the head alone."""

    @property
    def can_be_guided(self) -> bool:
        return True

    def decode_guided(self, backbone: Backbone, prefix: Prefix, guide: Guide) -> tuple[Tensor, Tensor]:
        hidden = backbone.attend(prefix)
        return self.head.predict_guided(hidden, guide), hidden


def sinusoidal_embedding(timestep: Tensor, width: int) -> Tensor:
    """(B,) -> (B, width): sines then cosines of geometrically spaced frequencies (Vaswani et al. 2017)."""
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(width // 2, device=timestep.device) / (width // 2))
    angles = timestep.float().unsqueeze(-1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)

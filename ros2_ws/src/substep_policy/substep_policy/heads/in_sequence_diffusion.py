"""Diffusion whose noisy actions go through the language model, as OpenVLA-OFT publishes it.

Each denoising step is a pass of the language model: the noisy actions stand in the action slots, one value a slot,
the step is a token of its own, and this head reads the noise from the slots' hidden states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from substep_core.configuration import configuration
from substep_policy.eos import EosSource
from substep_policy.heads.ddim import (
    add_noise,
    clean_estimate,
    guided_step,
    sampling_timesteps,
    squared_cosine_alpha_bars,
    towards,
    traced_estimate,
)
from substep_policy.heads.decoder import (
    ACTION_HEAD,
    CONTINUOUS,
    ActionDecoder,
    Backbone,
    DecoderShape,
    Prefix,
    SlotContent,
)
from substep_policy.heads.guidance import Guide
from substep_policy.heads.residual_mlp import ResidualMLP
from substep_policy.heads.targets import ActionTargets, group_by_action, masked_mean
from substep_policy.models.sizes import Layers, Steps, Width


@configuration
class InSequenceDiffusionConfig:
    """``hidden_dim`` is the width of the MLP, ``blocks`` its residual blocks; steps as the published code has them."""

    type: Literal["in_sequence_diffusion"] = "in_sequence_diffusion"
    hidden_dim: Width = 4096
    blocks: Layers = 2
    train_steps: Steps = 50
    sampling_steps: Steps = 50

    fills_slots: ClassVar[bool] = True
    eos_sources: ClassVar[frozenset[EosSource]] = CONTINUOUS

    def __post_init__(self) -> None:
        if self.sampling_steps > self.train_steps:
            raise ValueError(f"sampling_steps is {self.sampling_steps}, must be in 1..train_steps ({self.train_steps})")

    def build(self, shape: DecoderShape) -> InSequenceDiffusion:
        head = NoisePredictionHead(self, shape.hidden_dim, shape.action_dim)
        return InSequenceDiffusion(head, NoisyActionProjector(shape.hidden_dim), shape.chunk_length)


@dataclass(frozen=True)
class DenoisingStep:
    """From signal ᾱ at ``timestep`` to the next, cleaner one."""

    timestep: int
    alpha_bar: float
    next_alpha_bar: float


class NoisePredictionHead(nn.Module):
    """(B, C·A, D) hidden states -> (B, C, A) the noise in the actions that stood in the slots."""

    def __init__(self, config: InSequenceDiffusionConfig, input_dim: int, action_dim: int) -> None:
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


class InSequenceDiffusion(ActionDecoder):
    """Denoises a chunk in several passes, each with what the last one left in the action slots."""

    def __init__(self, head: NoisePredictionHead, projector: NoisyActionProjector, chunk_length: int) -> None:
        self._head, self._projector, self._chunk_length = head, projector, chunk_length

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {ACTION_HEAD: self._head, "noisy_action_projector": self._projector}

    def decode(self, backbone: Backbone, prefix: Prefix) -> tuple[Tensor, Tensor]:
        """From noise drawn from torch's generator; the hidden states are those of the last denoising step."""
        noisy = self._noise(prefix)
        for step in self._head.steps():
            noise, hidden = self._noise_in(backbone, prefix, noisy, step)
            noisy = self._head.denoise(noisy, noise, step)
        return noisy, hidden

    @property
    def can_be_guided(self) -> bool:
        return True

    def decode_guided(self, backbone: Backbone, prefix: Prefix, guide: Guide) -> tuple[Tensor, Tensor]:
        noisy, hidden = self._noise(prefix), None
        for step in self._head.steps():

            def estimate(noisy: Tensor, step: DenoisingStep = step) -> tuple[Tensor, ...]:
                nonlocal hidden
                noise, hidden = self._noise_in(backbone, prefix, noisy, step)
                return traced_estimate(noisy, noise, step.alpha_bar)[0], noise

            noisy = guided_step(guide, estimate, noisy, step.alpha_bar, step.next_alpha_bar)
        return noisy, hidden.detach()

    def _noise(self, prefix: Prefix) -> Tensor:
        """(B, C, A) in single precision or better: steps near pure noise divide by small numbers."""
        dtype = torch.promote_types(prefix.dtype, torch.float32)
        shape = (prefix.size, self._chunk_length, self._head.action_dim)
        return torch.randn(shape, dtype=dtype, device=prefix.device)

    def _noise_in(
        self, backbone: Backbone, prefix: Prefix, noisy: Tensor, step: DenoisingStep
    ) -> tuple[Tensor, Tensor]:
        """-> the noise predicted in noisy (B, C, A), and the hidden states."""
        timestep = torch.full((prefix.size,), step.timestep, device=prefix.device)
        hidden = backbone.attend(prefix, self._content(prefix, noisy, timestep))
        return self._head.predict_noise(hidden).to(noisy.dtype), hidden

    def loss(self, backbone: Backbone, prefix: Prefix, targets: ActionTargets) -> tuple[Tensor, Tensor]:
        """Of the noise predicted at a timestep drawn at random."""
        noisy, noise, timestep = self._head.corrupt(targets.actions)
        hidden = backbone.attend(prefix, self._content(prefix, noisy, timestep))
        with torch.autocast(hidden.device.type, enabled=False):
            return self._head.noise_loss(hidden.float(), noise, targets), hidden

    def _content(self, prefix: Prefix, noisy: Tensor, timestep: Tensor) -> SlotContent:
        time = self._head.time_embedding(timestep).to(prefix.dtype)
        return SlotContent(self._projector(noisy.to(prefix.dtype)).to(prefix.dtype), time)

"""Actions by flow matching through an action expert, as in π0 and π0.5 (Black et al. 2024, 2025).

At time t, from 1 (noise) to 0 (actions), x_t = t · noise + (1 − t) · actions; the expert is taught noise − actions, and
a chunk is walked from noise in equal Euler steps. The expert's hidden states are one a action.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from substep_core.configuration import configuration
from substep_policy.eos import EosSource
from substep_policy.heads.decoder import CONTINUOUS, ActionDecoder, Backbone, DecoderShape, Prefix, SlotContent
from substep_policy.heads.guidance import Guide
from substep_policy.heads.targets import ActionTargets, masked_mean
from substep_policy.models.sizes import Steps, Width


@configuration
class FlowMatchingConfig:
    """Flow matching, with the published values.

    Attributes:
        width: values of an action as the expert sees it; the robot's are filled up with zeros.
        sampling_steps: Euler steps of a chunk.
        time_alpha, time_beta: of the beta distribution that training times are drawn from; times are multiplied by
            ``time_scale`` and moved by ``time_offset``.
        min_period, max_period: of the sines that tell the expert the time.
        draws: times and noises that training draws for each chunk. The prefix, which costs most, is read once for all
            of them, so several make the gradient less noisy for little: the published models have 1.
    """

    type: Literal["flow_matching"] = "flow_matching"
    width: Width = 32
    sampling_steps: Steps = 10
    time_alpha: float = Field(default=1.5, gt=0)
    time_beta: float = Field(default=1.0, gt=0)
    time_scale: float = 0.999
    time_offset: float = 0.001
    min_period: float = Field(default=4e-3, gt=0)
    max_period: float = Field(default=4.0, gt=0)
    draws: int = Field(default=1, ge=1, le=64)

    fills_slots: ClassVar[bool] = True
    eos_sources: ClassVar[frozenset[EosSource]] = CONTINUOUS

    def build(self, shape: DecoderShape) -> FlowMatching:
        """The decoder with random weights."""
        return FlowMatching(self, shape)


@dataclass(frozen=True)
class NoisyActions:
    """Where a chunk is on its way at time t (B,): x (B, C, W), and where it is to go: velocity (B, C, W)."""

    x: Tensor
    time: Tensor
    velocity: Tensor


class FlowMatching(ActionDecoder):
    """Module names as in published checkpoints."""

    def __init__(self, config: FlowMatchingConfig, shape: DecoderShape) -> None:
        self.config, self.shape = config, shape
        width = shape.hidden_dim
        self._action_in, self._action_out = nn.Linear(config.width, width), nn.Linear(width, config.width)
        self._time_in, self._time_out = nn.Linear(width, width), nn.Linear(width, width)

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {
            "action_in_proj": self._action_in,
            "action_out_proj": self._action_out,
            "time_mlp_in": self._time_in,
            "time_mlp_out": self._time_out,
        }

    def decode(self, backbone: Backbone, prefix: Prefix) -> tuple[Tensor, Tensor]:
        """From noise drawn from torch's generator; the hidden states (B, C, D) are those of the last step."""
        x, steps = self._noise(prefix), self.config.sampling_steps
        for step in range(steps):
            velocity, hidden = self.velocity(backbone, prefix, x, _time(x, step, steps))
            x = x - velocity / steps
        return x[..., : self.shape.action_dim], hidden

    @property
    def can_be_guided(self) -> bool:
        return True

    def decode_guided(self, backbone: Backbone, prefix: Prefix, guide: Guide) -> tuple[Tensor, Tensor]:
        x, steps = self._noise(prefix), self.config.sampling_steps
        for step in range(steps):
            time = _time(x, step, steps)

            def denoise(x: Tensor, time: Tensor = time) -> tuple[Tensor, ...]:
                velocity, hidden = self.velocity(backbone, prefix, x, time)
                return x - time[:, None, None] * velocity, velocity, hidden

            # Velocities here lead to the noise, those of guidance to the actions.
            correction, _, velocity, hidden = guide.correction(denoise, x, step / steps)
            x = x - (velocity - correction) / steps
        return x[..., : self.shape.action_dim], hidden

    def _noise(self, prefix: Prefix) -> Tensor:
        dtype = torch.promote_types(prefix.dtype, torch.float32)
        shape = (prefix.size, self.shape.chunk_length, self.config.width)
        return torch.randn(shape, dtype=dtype, device=prefix.device)

    def loss(self, backbone: Backbone, prefix: Prefix, targets: ActionTargets) -> tuple[Tensor, Tensor]:
        """Mean squared error of the velocity at times drawn at random, over the robot's values that count.

        The hidden states are those of each chunk's least noisy draw: what is learned from them (EOS) is read at the end
        of the way to the actions.
        """
        draws = self.config.draws
        noisy = self.noised(targets.actions.float().repeat_interleave(draws, dim=0))
        velocity, hidden = self.velocity(backbone, prefix.repeated(draws) if draws > 1 else prefix, noisy.x, noisy.time)
        with torch.autocast(hidden.device.type, enabled=False):
            errors = (velocity.float() - noisy.velocity).square()[..., : self.shape.action_dim]
            loss = masked_mean(errors, targets.mask.repeat_interleave(draws, dim=0))
        least_noisy = noisy.time.unflatten(0, (-1, draws)).argmin(dim=1)
        return loss, hidden.unflatten(0, (-1, draws))[torch.arange(len(least_noisy)), least_noisy]

    def noised(self, actions: Tensor) -> NoisyActions:
        """Actions (B, C, A), with noise and at times drawn from torch's generator."""
        actions = pad(actions, (0, self.config.width - actions.shape[-1]))
        noise = torch.randn_like(actions)
        concentrations = torch.tensor([self.config.time_alpha, self.config.time_beta])
        drawn = torch.distributions.Beta(*concentrations).sample((len(actions),)).to(actions)
        time = drawn * self.config.time_scale + self.config.time_offset
        t = time[:, None, None]
        return NoisyActions(t * noise + (1 - t) * actions, time, noise - actions)

    def velocity(self, backbone: Backbone, prefix: Prefix, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, C, W) at time (B,) -> velocity (B, C, W), and the expert's hidden states (B, C, D)."""
        weight = self._action_in.weight.dtype
        embedded = self._time_in(self.time_embedding(time).to(weight))
        condition = silu(self._time_out(silu(embedded)))
        hidden = backbone.attend(prefix, SlotContent(self._action_in(x.to(weight)), condition))
        return self._action_out(hidden.to(weight)).to(x), hidden

    def time_embedding(self, time: Tensor) -> Tensor:
        """(B,) -> (B, D): sines then cosines, periods from the shortest to the longest in equal ratios."""
        size = self.shape.hidden_dim // 2
        fraction = torch.linspace(0.0, 1.0, size, dtype=torch.float64, device=time.device)
        period = self.config.min_period * (self.config.max_period / self.config.min_period) ** fraction
        angles = time.double().unsqueeze(-1) * (2 * math.pi / period)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _time(x: Tensor, step: int, steps: int) -> Tensor:
    """(B,) of a step on the way from noise, 1, to actions, 0."""
    return torch.full((len(x),), 1.0 - step / steps, dtype=x.dtype, device=x.device)

"""Gemma's layers as π0.5 runs them: two stacks that share attention, the expert's norms told the denoising time.

Feed-forward halves, norms and rotary embedding are those of transformers' Gemma; what it has not, and this adds, are
norms that depend on a condition, and keys and values that are computed once and attended to again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint
from transformers import GemmaConfig
from transformers.models.gemma.modeling_gemma import GemmaMLP, GemmaRMSNorm, apply_rotary_pos_emb, repeat_kv

from substep_policy.models.pi05.config import GemmaSize

ROPE_THETA = 10_000.0
NORM_EPSILON = 1e-6

KeysValues = tuple[Tensor, Tensor]  # of one layer, each (B, key_value_heads, T, head_dim)


@dataclass(frozen=True)
class Attended:
    """What a stack's tokens attend to.

    Attributes:
        mask: (B, 1, T or 1, P + T) bool, True towards tokens that are seen: the P of ``past``, then the T themselves.
        positions: (B, T) of the tokens, for the rotary embedding.
        past: keys and values of every layer, of P tokens that are read already.
    """

    mask: Tensor
    positions: Tensor
    past: tuple[KeysValues, ...] | None = None


class PlainRMSNorm(GemmaRMSNorm):
    """Gemma's own, whose residual has no gate."""

    def forward(self, x: Tensor, condition: None) -> tuple[Tensor, None]:
        return super().forward(x), None


class AdaptiveRMSNorm(nn.Module):
    """RMS norm whose scale, shift and the gate of what follows it are linear in a condition (B, width).

    New ones scale by 1 and let through what their bias says: the weight starts at zero.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, 3 * width)
        nn.init.zeros_(self.dense.weight)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, width) -> normed, and the gate (B, 1, width)."""
        modulation = self.dense(condition.to(self.dense.weight.dtype)).unsqueeze(1).float()
        scale, shift, gate = modulation.chunk(3, dim=-1)
        normed = x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + NORM_EPSILON)
        return (normed * (1 + scale) + shift).type_as(x), gate.type_as(x)


class GemmaAttention(nn.Module):
    """Grouped-query attention, to tokens of the past too. Weights named as Gemma's."""

    def __init__(self, size: GemmaSize) -> None:
        super().__init__()
        self.size = size
        queries, keys = size.heads * size.head_dim, size.key_value_heads * size.head_dim
        self.q_proj = nn.Linear(size.width, queries, bias=False)
        self.k_proj = nn.Linear(size.width, keys, bias=False)
        self.v_proj = nn.Linear(size.width, keys, bias=False)
        self.o_proj = nn.Linear(queries, size.width, bias=False)

    def forward(
        self, hidden: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor, past: KeysValues | None
    ) -> tuple[Tensor, KeysValues]:
        """(B, T, width) -> the same, and keys and values of these tokens."""
        queries, keys, values = (
            project(hidden).unflatten(-1, (-1, self.size.head_dim)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        queries, keys = apply_rotary_pos_emb(queries, keys, *rotation)
        own = keys, values
        if past is not None:
            keys, values = (torch.cat([old.to(new), new], dim=2) for old, new in zip(past, own, strict=True))
        mixed = attend(queries, keys, values, mask)
        return self.o_proj(mixed.transpose(1, 2).flatten(2)), own


class GemmaBlock(nn.Module):
    """One layer. ``is_adaptive``: its norms depend on a condition."""

    def __init__(self, size: GemmaSize, is_adaptive: bool) -> None:
        super().__init__()
        config = GemmaConfig(hidden_size=size.width, intermediate_size=size.mlp_width, hidden_act="gelu_pytorch_tanh")
        self.self_attn, self.mlp = GemmaAttention(size), GemmaMLP(config)
        self.input_layernorm = make_norm(size.width, is_adaptive)
        self.post_attention_layernorm = make_norm(size.width, is_adaptive)

    def forward(
        self,
        hidden: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask: Tensor,
        past: KeysValues | None,
        condition: Tensor | None,
    ) -> tuple[Tensor, KeysValues]:
        normed, gate = self.input_layernorm(hidden, condition)
        mixed, own = self.self_attn(normed, rotation, mask, past)
        hidden = _gated(hidden, mixed, gate)
        normed, gate = self.post_attention_layernorm(hidden, condition)
        return _gated(hidden, self.mlp(normed), gate), own


class GemmaStack(nn.Module):
    """All layers and the last norm. ``checkpoints_gradients``: activations are computed again in the backward pass."""

    def __init__(self, size: GemmaSize, is_adaptive: bool) -> None:
        super().__init__()
        self.size, self.checkpoints_gradients = size, False
        self.layers = nn.ModuleList(GemmaBlock(size, is_adaptive) for _ in range(size.layers))
        self.norm = make_norm(size.width, is_adaptive)

    def forward(
        self, hidden: Tensor, attended: Attended, condition: Tensor | None = None
    ) -> tuple[Tensor, tuple[KeysValues, ...]]:
        """Embeddings (B, T, width), condition (B, width) of adaptive norms -> hidden states, keys and values."""
        rotation = rotary_angles(attended.positions, self.size.head_dim, hidden.dtype)
        past = attended.past or (None,) * len(self.layers)
        own = []
        for layer, before in zip(self.layers, past, strict=True):
            inputs = hidden, rotation, attended.mask, before, condition
            if self.checkpoints_gradients and self.training and torch.is_grad_enabled():
                hidden, keys_values = checkpoint(layer, *inputs, use_reentrant=False)
            else:
                hidden, keys_values = layer(*inputs)
            own.append(keys_values)
        return self.norm(hidden, condition)[0], tuple(own)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Queries (B, H, T, D), keys and values (B, G, S, D), each for H / G heads, mask (B, 1, T or 1, S) -> (B, H, T, D).

    Written out where it is trained on a processor: the fused kernel's backward pass takes four to ten times as long
    there for some tens of tokens.
    """
    groups = queries.shape[1] // keys.shape[1]
    if queries.device.type != "cpu" or not (torch.is_grad_enabled() and queries.requires_grad):
        shared = repeat_kv(keys, groups), repeat_kv(values, groups)
        return scaled_dot_product_attention(queries, *shared, attn_mask=mask)
    rows = queries.unflatten(1, (-1, groups)).flatten(2, 3)  # of all heads that share their keys: one product each
    scores = rows @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)).unflatten(2, (groups, -1))
    scores = scores.masked_fill(~mask.unsqueeze(1), -torch.inf)
    mixed = scores.softmax(dim=-1).to(values.dtype).flatten(2, 3) @ values
    return mixed.unflatten(2, (groups, -1)).flatten(1, 2)


def make_norm(width: int, is_adaptive: bool) -> nn.Module:
    return AdaptiveRMSNorm(width) if is_adaptive else PlainRMSNorm(width, NORM_EPSILON)


def rotary_angles(positions: Tensor, head_dim: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Positions (B, T) -> cosines and sines (B, T, head_dim) of the rotary embedding."""
    exponents = torch.arange(0, head_dim, 2, device=positions.device).float() / head_dim
    angles = positions.float().unsqueeze(-1) * ROPE_THETA**-exponents
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _gated(residual: Tensor, update: Tensor, gate: Tensor | None) -> Tensor:
    return residual + (update if gate is None else update * gate)

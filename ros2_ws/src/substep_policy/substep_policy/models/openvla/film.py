"""FiLM: the instruction modulates the vision features (Perez et al. 2018), as in OpenVLA-OFT+ (Kim et al. 2025).

Every block's tokens become (1 + scale) · tokens + shift between its attention and its feed-forward half. Scale and
shift are linear in the mean embedding of the instruction, one value a channel, the same for all tokens.
"""

from __future__ import annotations

import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class FilmLayer(nn.Module):
    """Tokens (N, T, width), language (N, D) -> (N, T, width). New ones change nothing."""

    def __init__(self, language_width: int, width: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Linear(language_width, width), nn.Linear(language_width, width)
        for layer in (self.scale, self.shift):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor, language: Tensor) -> Tensor:
        return tokens * (1 + self.scale(language).unsqueeze(1)) + self.shift(language).unsqueeze(1)


class VisionBlock(Block):
    """A block of the vision transformers, with or without a FiLM layer between its halves.

    FSDP gathers a block's weights when the block itself is called, so FiLM has to come inside of that one call, and
    ``training/configs/accelerate/fsdp.yaml`` names this class. The layer is none of the block's own modules: it has
    its place, and its names in the files, beside the transformers.
    """

    def forward(self, tokens: Tensor, layer: FilmLayer | None = None, language: Tensor | None = None) -> Tensor:
        """Tokens (N, T, width), language (N, D) where there is a layer -> (N, T, width)."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        if layer is not None:
            tokens = layer(tokens, language)
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


def film_layers(transformer: VisionTransformer, language_width: int) -> nn.ModuleList:
    """One layer a block; the last one is never used, and is in the published checkpoints all the same."""
    return nn.ModuleList(FilmLayer(language_width, transformer.embed_dim) for _ in transformer.blocks)


def modulated_features(
    transformer: VisionTransformer, layers: nn.ModuleList, pixels: Tensor, language: Tensor
) -> Tensor:
    """Pixels (N, 3, S, S), language (N, D) -> patch tokens (N, P, width) after the second-to-last block."""
    tokens = _embed(transformer, pixels)
    for block, layer in list(zip(transformer.blocks, layers, strict=True))[:-1]:
        if transformer.grad_checkpointing and torch.is_grad_enabled():
            tokens = checkpoint(block, tokens, layer, language, use_reentrant=False)
        else:
            tokens = block(tokens, layer, language)
    return tokens[:, transformer.num_prefix_tokens :]


def _embed(transformer: VisionTransformer, pixels: Tensor) -> Tensor:
    """Patches with their positions, behind the class token and the registers, which have none."""
    patches = transformer.patch_embed(pixels) + transformer.pos_embed
    prefix = [token for token in (transformer.cls_token, transformer.reg_token) if token is not None]
    return torch.cat([*(token.expand(len(patches), -1, -1) for token in prefix), patches], dim=1)

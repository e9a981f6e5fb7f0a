"""What looks at the images: SigLIP, as published, or the compact policy's network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from substep_policy.models.compact.backbone import CompactConfig, TextEncoder
from substep_policy.models.compact.image_tokens import ImageTokens
from substep_policy.models.pi05.config import ConvolutionSize, Folding, Pi05Config, SiglipSize


@dataclass(frozen=True)
class ToldTokens:
    """What an image network is told to look for: token ids (B, L) int64, and which of them are there (B, L) bool."""

    ids: Tensor
    present: Tensor


class Siglip(SiglipVisionModel):
    """SigLIP's vision transformer without its pooling head, which is told no words."""

    is_told_words = False

    def __init__(self, size: SiglipSize, image_size: int) -> None:
        config = SiglipVisionConfig(
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=size.mlp_width,
            image_size=image_size,
            patch_size=size.patch_size,
            vision_use_head=False,
            attn_implementation="sdpa",
        )
        super().__init__(config)

    def tokens(self, pixels: Tensor, told: None) -> Tensor:
        """(B, cameras, 3, S, S) in [−1, 1] -> (B, cameras · patches, width)."""
        features = self(pixel_values=pixels.flatten(0, 1)).last_hidden_state
        return features.unflatten(0, pixels.shape[:2]).flatten(1, 2)

    def checkpoint_gradients(self) -> None:
        self.activation_checkpointing_enable({"use_reentrant": False})

    def restore_buffers(self, device: torch.device) -> None:
        """Of a network that was made on the meta device: the one part that is computed and not stored."""
        self.embeddings.position_ids = torch.arange(self.embeddings.num_positions, device=device).expand(1, -1)


class Convolution(ImageTokens):
    """The compact policy's network, told which camera it looks at and perhaps what to look for, with fewer tokens."""

    def __init__(self, config: Pi05Config, cameras: int) -> None:
        size = config.vision
        super().__init__(size.widths, size.blocks, size.keypoints, size.width, cameras, config.image_size)
        self.size, self.is_told_words = size, size.told is not None
        if size.told is None:
            self.told = nn.Parameter(torch.zeros(1, size.width))  # in an instruction's place
        else:
            self.text_encoder = TextEncoder(_text_size(size, config.vocabulary_size), size.told.max_tokens)
        if size.folding is Folding.STACK:
            self.fold = nn.Linear(size.width * size.pooling**2, size.width)
            nn.init.zeros_(self.fold.bias)
            with torch.no_grad():
                self.fold.weight.copy_(torch.eye(size.width).repeat(1, size.pooling**2) / size.pooling**2)

    def tokens(self, pixels: Tensor, told: ToldTokens | None) -> Tensor:
        """(B, cameras, 3, S, S) in [−1, 1] -> (B, cameras · (1 + patches), width), the keypoints first."""
        return self.tokens_of(self.features(pixels, self.condition(told)))

    def condition(self, told: ToldTokens | None) -> Tensor:
        """(B or 1, width), what the layers are told beside the camera."""
        return self.told if told is None else self.text_encoder(told.ids, told.present).summary

    def tokens_of(self, features: Tensor) -> Tensor:
        """What ``features`` gave -> as ``tokens``."""
        points, patches = self.placed_features(features)
        side, pooling = round(patches.shape[2] ** 0.5), self.size.pooling
        squares = patches.unflatten(2, (side // pooling, pooling, side // pooling, pooling)).transpose(3, 4)
        squares = squares.flatten(1, 3).flatten(2, 3)  # (B, cameras · squares, pooling², width)
        folded = self.fold(squares.flatten(2)) if self.size.folding is Folding.STACK else squares.mean(dim=2)
        return torch.cat([points.to(folded), folded], dim=1)

    def freeze_features(self) -> None:
        """What ``features`` comes from learns no more, what it is told included."""
        super().freeze_features()
        (self.text_encoder if self.is_told_words else self.told).requires_grad_(False)

    def checkpoint_gradients(self) -> None:
        """It is small, so its activations are kept."""

    def restore_buffers(self, device: torch.device) -> None:
        """It has none."""


def _text_size(size: ConvolutionSize, vocabulary: int) -> CompactConfig:
    """Of the compact policy's text encoder."""
    layers, heads = size.told.layers, size.told.heads
    return CompactConfig(vocabulary_size=vocabulary, text_layers=layers, width=size.width, heads=heads, dropout=0.0)


def build_vision(config: Pi05Config, cameras: int) -> Siglip | Convolution:
    if isinstance(config.vision, SiglipSize):
        return Siglip(config.vision, config.image_size)
    return Convolution(config, cameras)

"""The compact backbone: cameras, proprioception and text to action hidden states, trained from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from substep_core.configuration import configuration
from substep_policy.models.compact.image_tokens import ImageTokens
from substep_policy.models.compact.transformer import DecoderLayer, EncoderLayer
from substep_policy.models.sizes import Heads, Layers, Vocabulary, Width, check_stages


@configuration
class CompactConfig:
    """Sizes. The defaults make about 11 M parameters with the L1 and EOS heads.

    Attributes:
        vision_widths: channels of the stem, which divides the resolution by 4, and of each stage, which halves it.
        vision_blocks: residual blocks of each stage.
        keypoints: positions of features that are read off each image in the second-last stage's resolution.
        width: of text and fusion tokens; action_width: D of the action hidden states.
    """

    type: Literal["compact"] = "compact"
    vision_widths: tuple[Width, ...] = (64, 128, 256)
    vision_blocks: tuple[Layers, ...] = (1, 2)
    keypoints: Width = 48
    vocabulary_size: Vocabulary = 1024
    text_layers: Layers = 2
    width: Width = 256
    heads: Heads = 8
    decoder_layers: Layers = 4
    action_width: Width = 128
    dropout: float = Field(default=0.1, ge=0, lt=1)

    def __post_init__(self) -> None:
        check_stages(self.vision_widths, self.vision_blocks)
        if self.width % self.heads:
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads")


@dataclass(frozen=True)
class TextFeatures:
    """An encoded instruction: tokens (B, L, D), mask (B, L) bool, summary (B, D). Constant during a substep."""

    tokens: Tensor
    mask: Tensor
    summary: Tensor


@dataclass(frozen=True)
class CompactPrefix:
    """What actions attend to: image, proprioception and instruction tokens (B, M, width), mask (B, M) bool."""

    memory: Tensor
    mask: Tensor

    @property
    def size(self) -> int:
        return len(self.memory)

    @property
    def dtype(self) -> torch.dtype:
        return self.memory.dtype

    @property
    def device(self) -> torch.device:
        return self.memory.device


class TextEncoder(nn.Module):
    """Token ids (B, L) -> ``TextFeatures``."""

    def __init__(self, config: CompactConfig, max_length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)
        self.position = nn.Parameter(torch.empty(max_length, config.width).normal_(std=0.02))
        self.layers = nn.ModuleList(
            EncoderLayer(config.width, config.heads, config.dropout) for _ in range(config.text_layers)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, ids: Tensor, mask: Tensor) -> TextFeatures:
        tokens = self.embedding(ids) + self.position
        for layer in self.layers:
            tokens = layer(tokens, mask)
        tokens = self.norm(tokens)
        weight = mask.unsqueeze(-1).to(tokens.dtype)
        return TextFeatures(tokens, mask, (tokens * weight).sum(1) / weight.sum(1).clamp(min=1.0))


class CompactBackbone(ImageTokens):
    """Observation and instruction -> ``actions_hidden_states`` (B, C·A, D), D = ``action_width``.

    One query per action looks at image, proprioception and instruction tokens, and is then spread over the
    action's A dimensions.
    """

    def __init__(
        self, config: CompactConfig, cameras: int, image_size: int, max_length: int, chunk_length: int, action_dim: int
    ) -> None:
        vision = config.vision_widths, config.vision_blocks, config.keypoints, config.width
        super().__init__(*vision, cameras, image_size)
        self.config, self.action_dim = config, action_dim
        self.hidden_dim = config.action_width
        self.proprio_token_dim = config.width
        self.text_encoder = TextEncoder(config, max_length)
        self.queries = nn.Parameter(torch.empty(chunk_length, config.width).normal_(std=0.02))
        self.decoder = nn.ModuleList(
            DecoderLayer(config.width, config.heads, config.dropout) for _ in range(config.decoder_layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.spread = nn.Linear(config.width, action_dim * config.action_width)

    def encode_text(self, ids: Tensor, mask: Tensor) -> TextFeatures:
        """Token ids (B, L) int64 and attention mask (B, L) bool -> features."""
        return self.text_encoder(ids, mask)

    def encode(self, batch: Mapping[str, Tensor], proprio_token: Tensor) -> CompactPrefix:
        """Model inputs (``images``, ``input_ids``, ``attention_mask``) and proprio_token (B, width).

        In the place of images, ``image_features`` (B, cameras, F): what ``look`` gave of them before.
        """
        text = self.encode_text(batch["input_ids"], batch["attention_mask"])
        if (features := batch.get("image_features")) is None:
            return self.encode_with_text(batch["images"], proprio_token, text)
        return self._prefix(_in_order(*self.placed_features(features)), proprio_token, text)

    def encode_with_text(self, images: Tensor, proprio_token: Tensor, text: TextFeatures) -> CompactPrefix:
        """Images (B, cameras, S, S, 3) uint8, proprio_token (B, width), encoded instruction."""
        return self._prefix(self._vision_tokens(images, text.summary), proprio_token, text)

    def look(self, images: Tensor, text: Tensor) -> Tensor:
        """Images (B, cameras, S, S, 3) uint8, an instruction's summary (B, width) -> features (B, cameras, F)."""
        return self.features(_pixels(images, text), text)

    def freeze_features(self) -> None:
        """What ``look`` comes from learns no more, the reading of instructions included."""
        super().freeze_features()
        self.text_encoder.requires_grad_(False)

    def _prefix(self, vision: Tensor, proprio_token: Tensor, text: TextFeatures) -> CompactPrefix:
        memory = torch.cat([vision, proprio_token.unsqueeze(1), text.tokens], dim=1)
        visible = text.mask.new_ones(len(vision), vision.shape[1] + 1)  # proprioception too
        mask = torch.cat([visible, text.mask], dim=1)
        return CompactPrefix(memory.to(_arithmetic(memory)), mask)  # once, not in every layer

    def attend(self, prefix: CompactPrefix, content: None = None) -> Tensor:
        """-> (B, C·A, D)."""
        actions = self.queries.expand(prefix.size, -1, -1)
        for layer in self.decoder:
            actions = layer(actions, prefix.memory, prefix.mask)
        return self.spread(self.norm(actions)).unflatten(-1, (self.action_dim, -1)).flatten(1, 2)

    def _vision_tokens(self, images: Tensor, text: Tensor) -> Tensor:
        """Images (B, cameras, S, S, 3) uint8, text (B, width) -> (B, cameras · (patches + 1), width).

        The first tokens, one a camera, say where its keypoints are.
        """
        return _in_order(*self.image_tokens(_pixels(images, text), text))


def _pixels(images: Tensor, text: Tensor) -> Tensor:
    """Images (B, cameras, S, S, 3) uint8 -> (B, cameras, 3, S, S) in [−1, 1], of the numbers that text is read in."""
    return images.movedim(-1, 2).to(_arithmetic(text)).div_(127.5).sub_(1.0)


def _in_order(points: Tensor, patches: Tensor) -> Tensor:
    """Tokens of cameras (B, cameras, width), of their patches (B, cameras, patches, width) -> (B, tokens, width)."""
    return torch.cat([points, patches.flatten(1, 2)], dim=1)


def _arithmetic(tensor: Tensor) -> torch.dtype:
    """What products are computed in: autocast's numbers where it is on, else the tensor's own."""
    device = tensor.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else tensor.dtype

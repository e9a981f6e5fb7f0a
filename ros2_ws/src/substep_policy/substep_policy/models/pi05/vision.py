"""What looks at the images: SigLIP, as published, or the compact policy's network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from transformers import SiglipVisionConfig, SiglipVisionModel

from substep_policy.models.compact.image_tokens import ImageTokens
from substep_policy.models.pi05.config import ConvolutionSize, Pi05Config, SiglipSize


class Siglip(SiglipVisionModel):
    """SigLIP's vision transformer without its pooling head."""

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

    def tokens(self, pixels: Tensor) -> Tensor:
        """(B, cameras, 3, S, S) in [−1, 1] -> (B, cameras · patches, width)."""
        features = self(pixel_values=pixels.flatten(0, 1)).last_hidden_state
        return features.unflatten(0, pixels.shape[:2]).flatten(1, 2)

    def checkpoint_gradients(self) -> None:
        self.activation_checkpointing_enable({"use_reentrant": False})

    def restore_buffers(self, device: torch.device) -> None:
        """Of a network that was made on the meta device: the one part that is computed and not stored."""
        self.embeddings.position_ids = torch.arange(self.embeddings.num_positions, device=device).expand(1, -1)


class Convolution(ImageTokens):
    """The compact policy's network, told which camera it looks at and nothing else, with fewer tokens."""

    def __init__(self, size: ConvolutionSize, cameras: int, image_size: int) -> None:
        super().__init__(size.widths, size.blocks, size.keypoints, size.width, cameras, image_size)
        self.size = size
        self.told = nn.Parameter(torch.zeros(1, size.width))  # in an instruction's place

    def tokens(self, pixels: Tensor) -> Tensor:
        """(B, cameras, 3, S, S) in [−1, 1] -> (B, cameras · (1 + patches), width), the keypoints first."""
        points, patches = self.image_tokens(pixels, self.told)
        side = round(patches.shape[2] ** 0.5)
        rows = patches.flatten(0, 1).transpose(1, 2).unflatten(-1, (side, side))
        pooled = avg_pool2d(rows, self.size.pooling).flatten(2).transpose(1, 2).unflatten(0, pixels.shape[:2])
        return torch.cat([points.to(pooled), pooled.flatten(1, 2)], dim=1)

    def checkpoint_gradients(self) -> None:
        """It is small, so its activations are kept."""

    def restore_buffers(self, device: torch.device) -> None:
        """It has none."""


def build_vision(config: Pi05Config, cameras: int) -> Siglip | Convolution:
    if isinstance(config.vision, SiglipSize):
        return Siglip(config.vision, config.image_size)
    return Convolution(config.vision, cameras, config.image_size)

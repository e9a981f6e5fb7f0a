"""Two vision transformers side by side: DINOv2 for geometry, SigLIP for meaning (Prismatic VLMs, Karamcheti 2024)."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from substep_policy.backbones.openvla.config import OpenVLAConfig, VisionTransformerConfig

CHANNELS = 6  # RGB normalised for DINOv2, then RGB normalised for SigLIP


def build_transformer(config: VisionTransformerConfig, image_size: int, patch_size: int) -> VisionTransformer:
    """A vision transformer of timm with random weights. DINOv2's class and register tokens have no position."""
    return VisionTransformer(
        img_size=image_size,
        patch_size=patch_size,
        num_classes=0,
        embed_dim=config.width,
        depth=config.layers,
        num_heads=config.heads,
        mlp_ratio=config.mlp_width / config.width,
        init_values=config.layer_scale,
        class_token=config.class_token,
        reg_tokens=config.register_tokens,
        no_embed_class=True,
        global_pool="map" if config.attention_pooling else "token" if config.class_token else "avg",
        fc_norm=False,
    )


def patch_features(transformer: VisionTransformer, pixels: Tensor) -> Tensor:
    """Pixels (N, 3, S, S) -> patch tokens (N, P, width) after the second-to-last block, not normalised."""
    (features,) = transformer.forward_intermediates(
        pixels, indices=[len(transformer.blocks) - 2], output_fmt="NLC", intermediates_only=True, stop_early=True
    )
    return features


class FusedVision(nn.Module):
    """Images -> patch tokens of both transformers, joined along the channels."""

    def __init__(self, config: OpenVLAConfig) -> None:
        super().__init__()
        self.featurizer = build_transformer(config.dinov2, config.image_size, config.patch_size)
        self.fused_featurizer = build_transformer(config.siglip, config.image_size, config.patch_size)
        self.width = config.dinov2.width + config.siglip.width

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, cameras, 6, S, S) -> (B, cameras · P, width), camera after camera. All images make one batch."""
        images = pixels.flatten(0, 1)
        if images.shape[1] != CHANNELS:
            raise ValueError(f"images have {images.shape[1]} channels, expected {CHANNELS}: RGB for each transformer")
        dinov2, siglip = images.split(3, dim=1)
        features = torch.cat(
            [patch_features(self.featurizer, dinov2), patch_features(self.fused_featurizer, siglip)], dim=-1
        )
        return features.unflatten(0, pixels.shape[:2]).flatten(1, 2)


class VisionProjector(nn.Module):
    """Patch tokens (…, vision width) -> embeddings of the language model (…, D)."""

    def __init__(self, vision_width: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(vision_width, 4 * vision_width)
        self.fc2 = nn.Linear(4 * vision_width, width)
        self.fc3 = nn.Linear(width, width)
        self.activation = nn.GELU()

    def forward(self, patches: Tensor) -> Tensor:
        return self.fc3(self.activation(self.fc2(self.activation(self.fc1(patches)))))

"""Two vision transformers side by side: DINOv2 for geometry, SigLIP for meaning (Prismatic VLMs, Karamcheti 2024)."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from substep_policy.models.openvla.config import OpenVLAConfig, VisionTransformerConfig
from substep_policy.models.openvla.film import VisionBlock, film_layers, modulated_features

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
        block_fn=VisionBlock,
        weight_init="skip" if torch.get_default_device().type == "meta" else "",  # of no data nothing is drawn
    )


def patch_features(transformer: VisionTransformer, pixels: Tensor) -> Tensor:
    """Pixels (N, 3, S, S) -> patch tokens (N, P, width) after the second-to-last block, not normalised."""
    (features,) = transformer.forward_intermediates(
        pixels, indices=[len(transformer.blocks) - 2], output_fmt="NLC", intermediates_only=True, stop_early=True
    )
    return features


class FusedVision(nn.Module):
    """Images -> patch tokens of both transformers, joined along the channels; with FiLM where the config has it."""

    def __init__(self, config: OpenVLAConfig) -> None:
        super().__init__()
        self.featurizer = build_transformer(config.dinov2, config.image_size, config.patch_size)
        self.fused_featurizer = build_transformer(config.siglip, config.image_size, config.patch_size)
        self.width = config.dinov2.width + config.siglip.width
        language_width = config.language_model.width
        parts = {"featurizer": self.featurizer, "fused_featurizer": self.fused_featurizer}
        film = {name: film_layers(part, language_width) for name, part in parts.items()} if config.film else {}
        self.film = nn.ModuleDict(film)

    def forward(self, pixels: Tensor, language: Tensor) -> Tensor:
        """Pixels (B, cameras, 6, S, S) -> (B, cameras · P, width), camera after camera. All images make one batch.

        Args:
            language: (B, D) mean embedding of the instruction; used by FiLM alone.
        """
        images = pixels.flatten(0, 1)
        if images.shape[1] != CHANNELS:
            raise ValueError(f"images have {images.shape[1]} channels, expected {CHANNELS}: RGB for each transformer")
        dinov2, siglip = images.split(3, dim=1)
        language = language.repeat_interleave(pixels.shape[1], dim=0)
        geometry = self._features("featurizer", dinov2, language)
        meaning = self._features("fused_featurizer", siglip, language)
        return torch.cat([geometry, meaning], dim=-1).unflatten(0, pixels.shape[:2]).flatten(1, 2)

    def _features(self, name: str, pixels: Tensor, language: Tensor) -> Tensor:
        transformer = self.get_submodule(name)
        if name in self.film:
            return modulated_features(transformer, self.film[name], pixels, language)
        return patch_features(transformer, pixels)


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

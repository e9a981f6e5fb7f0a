"""Camera images to tokens: what the compact backbone sees, and a small π0.5 too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from substep_policy.models.compact.image_encoder import Keypoints, VisionEncoder, as_tokens
from substep_policy.models.sizes import Layers, Width


class ImageTokens(nn.Module):
    """One token of each camera says where its keypoints are, the others are the patches of its image.

    A backbone is one of these, and not has one, so that weights keep their names (``vision_encoder.…``).
    What it sees (``features``) may be kept of a network that no longer learns; what makes tokens of that still learns.

    Args:
        widths, blocks, keypoints, width: as ``CompactConfig``.
        image_size: side in pixels.
    """

    def __init__(
        self,
        widths: tuple[Width, ...],
        blocks: tuple[Layers, ...],
        keypoints: Width,
        width: Width,
        cameras: int,
        image_size: int,
    ) -> None:
        super().__init__()
        self.vision_encoder = VisionEncoder(widths, blocks, width)
        self.vision_encoder.to(memory_format=torch.channels_last)
        self.keypoints = Keypoints(widths[-2], keypoints)
        self.keypoint_projection = nn.Linear(2 * keypoints, width)
        self.camera_embedding = nn.Parameter(torch.empty(cameras, width).normal_(std=0.02))
        patches = (image_size // self.vision_encoder.stride) ** 2
        self.vision_projection = nn.Linear(widths[-1], width)
        self.vision_position = nn.Parameter(torch.empty(cameras, patches, width).normal_(std=0.02))
        self._last_stage = blocks[-1]
        self._positions, self._channels = 2 * keypoints, widths[-1]

    def image_tokens(self, pixels: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """-> keypoints (B, cameras, width), patches (B, cameras, patches, width), row by row. Args: as ``seen``."""
        return self.placed(*self.seen(pixels, condition))

    def seen(self, pixels: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """-> positions of the keypoints (B, cameras, 2·keypoints), patches (B, cameras, patches, channels), row by row.

        All cameras go through one encoder as one batch, each told which view it looks at.

        Args:
            pixels: (B, cameras, 3, S, S) in [−1, 1].
            condition: (B or 1, width), what the layers are told beside the camera.
        """
        count = pixels.shape[:2]
        told = (condition.unsqueeze(1) + self.camera_embedding).expand(*count, -1)
        maps = self.vision_encoder.maps(pixels.flatten(0, 1), told.flatten(0, 1))
        positions = self.keypoints(maps[-1 - self._last_stage])  # before the last stage
        return positions.unflatten(0, count), as_tokens(maps[-1]).unflatten(0, count)

    def features(self, pixels: Tensor, condition: Tensor) -> Tensor:
        """What ``seen`` gives, as (B, cameras, F). Args: as ``seen``."""
        positions, patches = self.seen(pixels, condition)
        return torch.cat([positions, patches.flatten(2).to(positions)], dim=2)

    @property
    def features_shape(self) -> tuple[int, int]:
        """(cameras, F) of ``features``."""
        cameras, patches, _ = self.vision_position.shape
        return cameras, self._positions + patches * self._channels

    def placed_features(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What ``features`` gave -> tokens as of ``image_tokens``."""
        positions, patches = features.split([self._positions, features.shape[2] - self._positions], dim=2)
        patches = patches.unflatten(2, (-1, self._channels)).to(self.vision_projection.weight)
        return self.placed(positions, patches)

    def freeze_features(self) -> None:
        """What ``features`` comes from learns no more."""
        for part in (self.vision_encoder, self.keypoints, self.camera_embedding):
            part.requires_grad_(False)

    def placed(self, positions: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """What ``seen`` gave -> tokens as of ``image_tokens``, each told where it is."""
        points = self.keypoint_projection(positions.to(self.keypoint_projection.weight))
        return points + self.camera_embedding, self.vision_projection(patches) + self.vision_position

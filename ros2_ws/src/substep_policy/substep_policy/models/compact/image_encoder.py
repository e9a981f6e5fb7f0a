"""A small residual network, told by the instruction what to look for (FiLM, Perez et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from substep_policy.models.sizes import STEM_STRIDE

GROUPS = 8


class FilmResidualBlock(nn.Module):
    """Two 3×3 convolutions with a skip; the instruction scales and shifts the channels in between."""

    def __init__(self, inputs: int, outputs: int, stride: int, text_dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(GROUPS, outputs)
        self.film = nn.Linear(text_dim, 2 * outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(GROUPS, outputs)
        self.skip = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """x (N, inputs, H, W), text (N, text_dim) -> (N, outputs, H/stride, W/stride)."""
        scale, shift = self.film(text)[..., None, None].chunk(2, dim=1)
        y = self.norm1(self.conv1(x)) * (1 + scale) + shift
        y = self.norm2(self.conv2(functional.relu(y)))
        return functional.relu(y + self.skip(x))


class VisionEncoder(nn.Module):
    """Images (N, 3, S, S) -> tokens (N, (S/stride)², width), one per patch with a wide view around it.

    The stem divides the resolution by 4, every stage after it by 2.
    """

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...], text_dim: int) -> None:
        super().__init__()
        self.stride = STEM_STRIDE * 2 ** len(blocks)
        self.stem = nn.Conv2d(3, widths[0], 2 * STEM_STRIDE, STEM_STRIDE, STEM_STRIDE // 2, bias=False)
        self.stem_norm = nn.GroupNorm(GROUPS, widths[0])
        layers = []
        for inputs, outputs, count in zip(widths[:-1], widths[1:], blocks, strict=True):
            layers.append(FilmResidualBlock(inputs, outputs, 2, text_dim))
            layers.extend(FilmResidualBlock(outputs, outputs, 1, text_dim) for _ in range(count - 1))
        self.blocks = nn.ModuleList(layers)

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        return as_tokens(self.maps(images, text)[-1])

    def maps(self, images: Tensor, text: Tensor) -> list[Tensor]:
        """Images (N, 3, S, S) -> what the stem and every block see, (N, channels, height, width) each."""
        x = images.contiguous(memory_format=torch.channels_last)
        maps = [functional.relu(self.stem_norm(self.stem(x)))]
        for block in self.blocks:
            maps.append(block(maps[-1], text))
        return maps


def as_tokens(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H·W, C)."""
    return features.flatten(2).transpose(1, 2)


class Keypoints(nn.Module):
    """Where in the image learned features are: spatial softmax (Levine et al. 2016).

    A convolutional map says where something is only by which of its cells responds; an expected position is finer
    than a cell, and grasping needs that.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(channels, count, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, 2·count): x and y of each keypoint, -1 to 1."""
        height, width = features.shape[-2:]
        weights = self.score(features).flatten(2).float().softmax(-1)
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        grid = torch.stack([x.flatten(), y.flatten()], dim=1).to(weights)
        return (weights @ grid).flatten(1)

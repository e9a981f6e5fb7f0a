"""Training of a model whose image network stays as it is: what it sees of every frame is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from training.data.augmentation import ImageAugmentation
from training.data.build import TrainingData
from training.data.dataset import Sample, SubstepDataset
from training.data.feature_cache import FeatureCache, Look, digest, frames_digest, frozen_digest
from training.data.frame_file import FrameFile
from training.data.transform import SubstepTransform
from training.train.config import FinetuneConfig

FOLDER = "image_features"  # in that of the frames


class ImageNetwork(Protocol):
    """The image network of one kind of model."""

    @property
    def network(self) -> nn.Module:
        """It is the part of this that does not learn once it is frozen."""

    @property
    def features_shape(self) -> tuple[int, int]:
        """(cameras, F) of what it sees of a frame."""

    @property
    def tokenizer(self) -> str:
        """As JSON, what makes tokens of the words that it is told; empty: it is told none."""

    @property
    def level_of_task(self) -> str | None:
        """What stands before the names of inputs that are told the task, where the model looks for it too."""

    def freeze(self) -> None:
        """It learns no more."""

    def see(self, frames: Tensor, told: Sequence[str]) -> Tensor:
        """Stored frames (N, cameras, S, S, 3) uint8, and what it is told at each -> features (N, cameras, F)."""


@dataclass(frozen=True)
class _Looks:
    """Which looks are taken for a sample. A network that is told no words looks once for the substep and the task."""

    is_told_words: bool
    level_of_task: str | None

    @classmethod
    def of(cls, network: ImageNetwork) -> _Looks:
        return cls(bool(network.tokenizer), network.level_of_task)

    def at_substep(self, sample: Sample) -> Look:
        return Look(sample.row, sample.instruction if self.is_told_words else "")

    def at_task(self, sample: Sample) -> list[Look]:
        """One, where words are taught that it is looked for."""
        if self.is_told_words and self.level_of_task is not None and sample.next_substep:
            return [Look(sample.row, sample.task)]
        return []

    def all(self, dataset: SubstepDataset) -> list[Look]:
        """Every look that training takes at a frame, once, in the order of the frames."""
        samples = map(dataset.without_frames().__getitem__, range(len(dataset)))
        return sorted({look for sample in samples for look in (self.at_substep(sample), *self.at_task(sample))})


@dataclass(frozen=True)
class SeenTransform(SubstepTransform):
    """As ``SubstepTransform``, with ``image_features``, what was seen, in place of images."""

    cache: FeatureCache
    looks: _Looks

    def _images(
        self, samples: Sequence[Sample], augmentation: ImageAugmentation | None, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        found = {"image_features": self.cache.features([self.looks.at_substep(sample) for sample in samples])}
        if asked := [look for sample in samples for look in self.looks.at_task(sample)]:
            found[f"{self.looks.level_of_task}image_features"] = self.cache.features(asked)
        return found


@dataclass(frozen=True)
class _Looking:
    """Computes features of looks."""

    network: ImageNetwork
    frames: FrameFile
    device: torch.device
    uses_bfloat16: bool

    @torch.no_grad()
    def __call__(self, looks: Sequence[Look]) -> Tensor:
        frames = torch.from_numpy(np.stack([self.frames[look.row] for look in looks])).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.uses_bfloat16):
            return self.network.see(frames, [look.told for look in looks])


def frozen_vision(
    config: FinetuneConfig, network: ImageNetwork, data: TrainingData, device: torch.device
) -> TrainingData:
    """Freeze a model's image network; -> the data, with what it sees in place of the frames that are trained on.

    Raises:
        StoreError: features of another network, precision, tokenizer or other demonstrations lie beside the frames.
        OSError: the disk has no room for them.
    """
    network.network.to(device).eval()  # what is kept is seen without dropout
    network.freeze()
    dataset, looks = data.training, _Looks.of(network)
    origin = {
        "image network": frozen_digest(network.network),
        "demonstrations": frames_digest(dataset),
        "precision": config.mixed_precision,
        "tokenizer": digest(network.tokenizer.encode()) if network.tokenizer else "none",
    }
    see = _Looking(network, dataset.frames, device, config.mixed_precision == "bf16")
    cache = FeatureCache(config.data.cache / FOLDER, origin, looks.all(dataset), network.features_shape, see)
    transform = SeenTransform(data.inputs, data.transform.normalizer, cache, looks)
    return replace(data, training=dataset.without_frames(), training_transform=transform)


def check_can_freeze(config: FinetuneConfig, is_told_words: bool) -> None:
    """Raises: ValueError: an image network that is frozen would see other images or be told other words every time."""
    if config.data.augmentation is not None:
        raise ValueError("freeze_vision keeps what is seen of images as they are: set data.augmentation to null")
    if is_told_words and config.data.paraphrase_probability:
        raise ValueError(
            "freeze_vision keeps what is seen by a network that is told the plan's own words: set "
            f"data.paraphrase_probability to 0, it is {config.data.paraphrase_probability}"
        )

"""Training of a π0.5 whose image network stays as it is: what it sees of every frame is computed once.

The low level is told the substep, the high level the task; a network that is told no words looks once for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from substep_policy.models.pi05.images import pixels
from substep_policy.models.pi05.model import TASK, Pi05Model
from substep_policy.models.pi05.vision import Convolution, ToldTokens
from training.data.augmentation import ImageAugmentation
from training.data.build import TrainingData
from training.data.dataset import Sample, SubstepDataset
from training.data.feature_cache import FeatureCache, Look, digest, frames_digest, frozen_digest
from training.data.frame_file import FrameFile
from training.data.transform import SubstepTransform
from training.train.config import FinetuneConfig
from training.train.models.pi05 import Pi05Inputs

FOLDER = "image_features"  # in that of the frames


@dataclass(frozen=True)
class SeenTransform(SubstepTransform):
    """As ``SubstepTransform``, with what was seen (``Pi05Backbone.look``) in place of images."""

    cache: FeatureCache
    is_told_words: bool

    def _images(
        self, samples: Sequence[Sample], augmentation: ImageAugmentation | None, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        low = self.cache.features([_low(sample, self.is_told_words) for sample in samples])
        asked = [_high(sample) for sample in samples if sample.next_substep] if self.is_told_words else []
        return {"image_features": low} | ({f"{TASK}image_features": self.cache.features(asked)} if asked else {})


@dataclass(frozen=True)
class _Looking:
    """Computes features of looks."""

    tower: Convolution
    frames: FrameFile
    inputs: Pi05Inputs
    device: torch.device
    uses_bfloat16: bool

    @torch.no_grad()
    def __call__(self, looks: Sequence[Look]) -> Tensor:
        frames = torch.from_numpy(np.stack([self.frames[look.row] for look in looks])).to(self.device)
        shown = pixels(frames.flatten(0, 1), self.inputs.config.backbone.image_size).unflatten(0, frames.shape[:2])
        arrays = self.inputs.builder.told([look.told for look in looks])
        told = ToldTokens(*(torch.from_numpy(array).to(self.device) for array in arrays.values())) if arrays else None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.uses_bfloat16):
            return self.tower.features(shown, told)


def frozen_vision(config: FinetuneConfig, model: Pi05Model, data: TrainingData, device: torch.device) -> TrainingData:
    """Freeze the model's image network; -> the data, with what it sees in place of the frames that are trained on.

    Raises:
        StoreError: features of another network, precision, tokenizer or other demonstrations lie beside the frames.
        OSError: the disk has no room for them.
    """
    tower, dataset = model.backbone.vision_tower, data.training
    tower.to(device).freeze()
    see = _Looking(tower, dataset.frames, data.inputs, device, config.mixed_precision == "bf16")
    looks = looks_of(dataset, tower.is_told_words)
    origin = {
        "image network": frozen_digest(tower),
        "demonstrations": frames_digest(dataset),
        "precision": config.mixed_precision,
        "tokenizer": digest(data.inputs.tokenizer.tokenizer.to_str().encode()) if tower.is_told_words else "none",
    }
    cache = FeatureCache(config.data.cache / FOLDER, origin, looks, tower.features_shape, see)
    transform = SeenTransform(data.inputs, data.transform.normalizer, cache, tower.is_told_words)
    return replace(data, training=dataset.without_frames(), training_transform=transform)


def looks_of(dataset: SubstepDataset, is_told_words: bool) -> list[Look]:
    """Every look that training takes at a frame, once, in the order of the frames."""
    samples = map(dataset.without_frames().__getitem__, range(len(dataset)))
    found = {}
    for sample in samples:
        found[_low(sample, is_told_words)] = None
        if is_told_words and sample.next_substep:
            found[_high(sample)] = None
    return sorted(found)


def _low(sample: Sample, is_told_words: bool) -> Look:
    return Look(sample.row, sample.instruction if is_told_words else "")


def _high(sample: Sample) -> Look:
    return Look(sample.row, sample.task)

"""Samples to model inputs and targets, batch by batch; every batch is a function of its number alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from substep_policy.heads import ActionTargets
from substep_policy.models.normalization import ActionNormalizer
from training.data.augmentation import ImageAugmentation
from training.data.dataset import Sample, SubstepDataset
from training.data.paraphrases import Paraphrases
from training.train.models import ModelInputs

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class SubstepTransform:
    """A list of samples -> a batch of tensors.

    Images and text as the model takes them (``training.train.models``), ``proprio`` (B, N), ``actions`` (B, C, A)
    normalised, ``action_mask`` (B, C), ``eos_labels`` (B, C, 1), ``way`` (B, 3) and ``has_way`` (B,) as in ``Sample``.
    """

    inputs: ModelInputs
    normalizer: ActionNormalizer

    def __call__(
        self,
        samples: Sequence[Sample],
        augmentation: ImageAugmentation | None = None,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """``augmentation`` draws from ``generator``."""
        images = self._images(samples, augmentation, generator)
        actions = np.stack([sample.actions for sample in samples])
        arrays = {
            **self.inputs.text(samples),
            "proprio": self.inputs.proprio(np.stack([sample.proprio for sample in samples])),
            "actions": self.normalizer.encode(actions),
            "action_mask": np.stack([sample.mask for sample in samples]),
            "eos_labels": np.stack([sample.eos_labels for sample in samples]),
            "way": np.stack([sample.way for sample in samples]),
            "has_way": np.asarray([sample.has_way for sample in samples]),
        }
        return {**images, **{name: torch.from_numpy(array) for name, array in arrays.items()}}

    def _images(
        self, samples: Sequence[Sample], augmentation: ImageAugmentation | None, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        frames = torch.from_numpy(np.stack([sample.frame for sample in samples]))
        if augmentation is not None:
            frames = augmentation.apply(frames, generator)
        return self.inputs.images(frames, is_cropped=augmentation is not None and augmentation.crops)


def action_targets(batch: Mapping[str, Tensor]) -> ActionTargets:
    """The part of a batch that action heads are trained on."""
    return ActionTargets(batch["actions"], batch["action_mask"], batch["eos_labels"])


def check_batch_size(batch_size: int, dataset: SubstepDataset) -> None:
    """Raises: ValueError: no batch can be filled."""
    if batch_size > len(dataset):
        raise ValueError(f"batch_size is {batch_size}, but there are only {len(dataset)} samples")


@dataclass(frozen=True)
class BatchStream:
    """Endless shuffled batches of a data set. ``batch(n)`` is the same whenever and wherever it is asked for.

    Attributes:
        rank, world: this process takes every ``world``-th batch.
    """

    dataset: SubstepDataset
    transform: SubstepTransform
    batch_size: int
    seed: int
    augmentation: ImageAugmentation | None = None
    paraphrases: Paraphrases | None = None
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size, self.dataset)

    def batch(self, number: int) -> Batch:
        """The ``number``-th batch of this process."""
        generator = torch.Generator().manual_seed(int(self._random(number).integers(2**62)))
        return self.transform(self._samples(number), self.augmentation, generator)

    def _samples(self, number: int) -> list[Sample]:
        samples = [self.dataset[index] for index in self._indices(number * self.world + self.rank)]
        if self.paraphrases is None:
            return samples
        return self.paraphrases.reword(samples, self._random(number), self.transform.inputs.fits)

    def _indices(self, number: int) -> np.ndarray:
        """Sample numbers of a batch: a new permutation every pass, what is left over at its end is dropped."""
        per_pass = len(self.dataset) // self.batch_size
        lap, position = divmod(number, per_pass)
        return _order(self.seed, lap, len(self.dataset))[position * self.batch_size : (position + 1) * self.batch_size]

    def _random(self, number: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, number, self.rank, 1))


@lru_cache(maxsize=4)  # prefetched batches may lie in two passes; held-out samples have passes of their own
def _order(seed: int, lap: int, count: int) -> np.ndarray:
    """The order of the samples in a pass, read-only."""
    order = np.random.default_rng((seed, lap)).permutation(count)
    order.flags.writeable = False
    return order

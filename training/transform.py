"""Samples to model inputs and targets, batch by batch; every batch is a function of its number alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from substep_policy.heads import ActionTargets
from substep_policy.normalization import GripperConvention, Statistics, encode_actions
from training.augmentation import ImageAugmentation
from training.dataset import Sample, SubstepDataset
from training.models import ModelInputs
from training.paraphrases import Paraphrases

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class SubstepTransform:
    """A list of samples -> a batch of tensors (S4, S5).

    Images and text as the model takes them (``training.models``), ``proprio`` (B, N), ``actions`` (B, C, 7)
    normalised, ``action_mask`` (B, C), ``eos_labels`` (B, C, 1), ``way`` (B, 3) and ``has_way`` (B,) as in ``Sample``.
    """

    inputs: ModelInputs
    action_statistics: Statistics
    gripper: GripperConvention

    def __call__(
        self,
        samples: Sequence[Sample],
        augmentation: ImageAugmentation | None = None,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """``augmentation`` draws from ``generator``."""
        frames = torch.from_numpy(np.stack([sample.frame for sample in samples]))
        if augmentation is not None:
            frames = augmentation.apply(frames, generator)
        images = self.inputs.images(frames, is_cropped=augmentation is not None and augmentation.crops)
        actions = np.stack([sample.actions for sample in samples])
        arrays = {
            **self.inputs.text([sample.instruction for sample in samples]),
            "proprio": self.inputs.proprio(np.stack([sample.proprio for sample in samples])),
            "actions": encode_actions(actions, self.action_statistics, self.gripper),
            "action_mask": np.stack([sample.mask for sample in samples]),
            "eos_labels": np.stack([sample.eos_labels for sample in samples]),
            "way": np.stack([sample.way for sample in samples]),
            "has_way": np.asarray([sample.has_way for sample in samples]),
        }
        return {**images, **{name: torch.from_numpy(array) for name, array in arrays.items()}}


def action_targets(batch: Mapping[str, Tensor]) -> ActionTargets:
    """The part of a batch that action heads are trained on."""
    return ActionTargets(batch["actions"], batch["action_mask"], batch["eos_labels"])


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
        if self.batch_size > len(self.dataset):
            raise ValueError(f"batch_size is {self.batch_size}, but there are only {len(self.dataset)} samples")

    def batch(self, number: int) -> Batch:
        """The ``number``-th batch of this process."""
        generator = torch.Generator().manual_seed(int(self._random(number).integers(2**62)))
        return self.transform(self._samples(number), self.augmentation, generator)

    def _samples(self, number: int) -> list[Sample]:
        samples = [self.dataset[index] for index in self._indices(number * self.world + self.rank)]
        return samples if self.paraphrases is None else self.paraphrases.reword(samples, self._random(number))

    def _indices(self, number: int) -> np.ndarray:
        """Sample numbers of a batch: a new permutation every pass, what is left over at its end is dropped."""
        per_pass = len(self.dataset) // self.batch_size
        lap, position = divmod(number, per_pass)
        order = np.random.default_rng((self.seed, lap)).permutation(len(self.dataset))
        return order[position * self.batch_size : (position + 1) * self.batch_size]

    def _random(self, number: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, number, self.rank, 1))

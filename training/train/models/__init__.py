"""Kinds of models as training sees them: inputs, weights, checkpoints."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from substep_policy.models.kind import MODEL_KINDS, ModelConfiguration, kind_of
from substep_policy.models.model import SubstepModel
from substep_policy.models.normalization import Statistics

if TYPE_CHECKING:
    from training.data.dataset import Sample
    from training.data.frame_cache import StoreFormat
    from training.train.config import FinetuneConfig
    from training.train.models.frozen_vision import ImageNetwork


class ModelInputs(Protocol):
    """Samples to a model's inputs, in training as in the policy."""

    def text(self, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
        """Words of B samples -> arrays (B, …)."""

    def check(self, instructions: Sequence[str]) -> None:
        """Raises: ValueError: one is longer than the model can read."""

    def fits(self, instruction: str) -> bool:
        """Whether ``text`` takes it: it is not longer than the model can read."""

    def proprio(self, proprio: np.ndarray) -> np.ndarray:
        """(B, S) -> (B, N) float32, normalised."""

    def images(self, frames: Tensor, is_cropped: bool) -> dict[str, Tensor]:
        """Stored frames (B, cameras, S, S, 3) uint8, upright -> tensors (B, …).

        Args:
            is_cropped: augmentation has cropped them already.
        """

    def save(self, folder: Path) -> None:
        """Write what the policy needs beside weights and statistics: the tokenizer."""


class ModelTraining(Protocol):
    """What training does with one kind of model, for one configuration."""

    @property
    def store_format(self) -> StoreFormat:
        """How frames are kept for it."""

    def proprio_statistics(self, proprio: np.ndarray) -> Statistics:
        """Statistics of (T, S) as the model takes it."""

    def inputs(self, checkpoint: Path | None, texts: set[str], proprio: Statistics) -> ModelInputs:
        """Preprocessing.

        Args:
            checkpoint: one to go on from, whose tokenizer is kept.
            texts: what the data say, should a tokenizer have to be trained.
        """

    def build(self, checkpoint: Path | None, new_heads: bool = False) -> SubstepModel:
        """The model to train, its weights those of ``checkpoint`` (one of a run, or one to start from).

        Args:
            new_heads: decoder and EOS head are about to begin anew, so that the checkpoint's need not fit.

        Raises:
            CheckpointError: they do not fit.
        """

    def save(self, folder: Path, state: Mapping[str, Tensor], step: int) -> None:
        """Write configuration and weights into an existing folder.

        Args:
            state: the model's ``state_dict()``, whole tensors; of LoRA what is trained is enough.
        """

    def write_config(self, folder: Path, config: ModelConfiguration) -> None:
        """Write another configuration into a checkpoint."""

    def export(self, checkpoint: Path, out: Path) -> None:
        """Write what ships of a run's checkpoint: configuration and weights, adapters merged."""


@runtime_checkable
class FreezesVision(Protocol):
    """Training of a kind of model whose image network can stay as it is."""

    def image_network(self, model: SubstepModel, inputs: ModelInputs) -> ImageNetwork:
        """That of a model that ``build`` made."""


def store_threshold(kind: ModelTraining, folder: Path, threshold: float) -> None:
    """Write a calibrated EOS threshold into a checkpoint."""
    config = kind_of(folder).read_config(folder)
    kind.write_config(folder, replace(config, eos=replace(config.eos, threshold=threshold, calibrated=True)))


def store_skills(kind: ModelTraining, folder: Path, skills: tuple[str, ...]) -> None:
    """Write what was taught into a checkpoint, if its kind's configuration has a place for it."""
    config = kind_of(folder).read_config(folder)
    if any(field.name == "skills" for field in fields(config)):
        kind.write_config(folder, replace(config, skills=skills))


def check_actions_only(config: FinetuneConfig) -> None:
    """Raises: ValueError: words are to be taught to a kind of model that says none."""
    if (mode := config.objective.mode) != "actions":
        raise ValueError(f"objective mode is {mode!r}, and {config.model.model_type} says no words: 'actions'")


def check_begins_with_own_vision(config: FinetuneConfig) -> None:
    """Raises: ValueError: a model that cannot is to take over the image network of another policy."""
    if config.initial_vision is not None:
        raise ValueError(
            f"initial_vision is {config.initial_vision}: it is for the convolution of a π0.5, and model is "
            f"{config.model.model_type}"
        )


def model_training(config: FinetuneConfig) -> ModelTraining:
    """That of the configured model's kind (``substep_policy.models.kind.ModelKind.training``).

    Raises:
        ValueError: the kind cannot be trained, or not as configured.
    """
    name = config.model.model_type
    module, _, function = MODEL_KINDS.load(name).training.partition(":")
    if not module:
        raise ValueError(f"model kind {name!r} cannot be trained: its entry names no training")
    training = getattr(importlib.import_module(module), function)(config)
    if config.freeze_vision and not isinstance(training, FreezesVision):
        raise ValueError(f"freeze_vision is true, and that of model kind {name!r} cannot be frozen: set it to false")
    return training

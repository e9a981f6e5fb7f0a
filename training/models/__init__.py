"""What training must know about each kind of model: its inputs, its weights, its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from substep_policy.model import SubstepModel
from substep_policy.normalization import Statistics

if TYPE_CHECKING:
    from training.config import FinetuneConfig
    from training.store import StoreFormat


class ModelInputs(Protocol):
    """Samples to a model's inputs, in training as in the policy."""

    def text(self, instructions: Sequence[str]) -> dict[str, np.ndarray]:
        """B instructions -> arrays (B, …)."""

    def proprio(self, proprio: np.ndarray) -> np.ndarray:
        """(B, 8) -> (B, N) float32, normalised."""

    def images(self, frames: Tensor, is_cropped: bool) -> dict[str, Tensor]:
        """Stored frames (B, cameras, S, S, 3) uint8, upright -> tensors (B, …).

        Args:
            is_cropped: augmentation has cropped them already.
        """

    def save(self, folder: Path) -> None:
        """Write what the policy needs beside weights and statistics: the tokenizer."""


class ModelKind(Protocol):
    """One kind of model, for one configuration."""

    @property
    def store_format(self) -> StoreFormat:
        """How frames are kept for it."""

    def proprio_statistics(self, proprio: np.ndarray) -> Statistics:
        """Statistics of (T, 8) as the model takes it."""

    def inputs(self, checkpoint: Path | None, texts: set[str], proprio: Statistics) -> ModelInputs:
        """Preprocessing.

        Args:
            checkpoint: one to go on from, whose tokenizer is kept.
            texts: what the data say, should a tokenizer have to be trained.
        """

    def build(self, checkpoint: Path | None) -> SubstepModel:
        """The model to train, its weights those of ``checkpoint`` (one of a run, or one to start from).

        Raises:
            CheckpointError: they do not fit.
        """

    def save(self, folder: Path, state: Mapping[str, Tensor], step: int) -> None:
        """Write configuration and weights into an existing folder.

        Args:
            state: the model's ``state_dict()``, whole tensors; of LoRA what is trained is enough.
        """

    def store_threshold(self, folder: Path, threshold: float) -> None:
        """Write a calibrated EOS threshold into a checkpoint."""

    def export(self, checkpoint: Path, out: Path) -> None:
        """Write what ships of a run's checkpoint: configuration and weights, adapters merged."""


def model_kind(config: FinetuneConfig) -> ModelKind:
    """The kind of the configured model."""
    from substep_policy.model import ModelConfig

    if isinstance(config.model, ModelConfig):
        from training.models.compact import CompactKind

        return CompactKind(config.checkpoint_model(), config.data.tokenizer)
    from training.models.openvla import OpenVLAKind

    return OpenVLAKind(config.checkpoint_model(), config.data.tokenizer, config.lora, config.initial_checkpoint)

"""Loads a checkpoint with the configuration and the data that it was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from substep_core.chunk import Chunk
from substep_policy.eos import EosSource
from substep_policy.models.chunk_builder import ChunkBuilder
from substep_policy.models.kind import ModelConfiguration, kind_of
from substep_policy.models.model import SubstepModel
from training.checkpoints.calibrate import Calibration, calibrate, write_calibration
from training.data.build import TrainingData, prepare_data
from training.data.transform import Batch
from training.train.config import CONFIG_FILE, FinetuneConfig, read_config
from training.train.models import ModelTraining, model_training
from training.train.objective import eos_probabilities


@dataclass(frozen=True)
class Trained:
    """``model_config`` is what the checkpoint says of itself, its calibrated threshold included.

    ``uses_bfloat16``: the run had ``mixed_precision: bf16``; frozen weights may then be bfloat16 beside float32 ones.
    """

    kind: ModelTraining
    model_config: ModelConfiguration
    data: TrainingData
    model: SubstepModel
    chunks: ChunkBuilder
    uses_bfloat16: bool

    @torch.no_grad()
    def eos_probabilities(self, batch: Batch) -> Tensor:
        """Model inputs -> (B, C), in the precision in which training computed and calibrated."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.uses_bfloat16):
            return eos_probabilities(self.model, batch, self.chunks)

    @torch.no_grad()
    def chunk(self, batch: Batch) -> Chunk:
        """Model inputs of one sample -> the chunk that the policy would answer with, EOS in that precision."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.uses_bfloat16):
            actions, hidden = self.model.act(batch)
        return self.chunks.chunk(actions, hidden.float())


def load_trained(checkpoint: Path, overrides: Sequence[str] = ()) -> Trained:
    """Load a run's checkpoint, the model in ``eval()`` on the CPU.

    Args:
        overrides: of the configuration it was trained with.

    Raises:
        ValueError: the checkpoint is incomplete, does not fit its configuration, or has no EOS to look at.
        OSError: a file cannot be read.
    """
    model_config = kind_of(checkpoint).read_config(checkpoint)
    check_has_eos(model_config, checkpoint)
    config, data, model = load_weights_and_data(checkpoint, overrides)
    chunks = ChunkBuilder.build(model, model_config, data.statistics.action)
    return Trained(model_training(config), model_config, data, model, chunks, config.mixed_precision == "bf16")


def load_weights_and_data(
    checkpoint: Path, overrides: Sequence[str] = ()
) -> tuple[FinetuneConfig, TrainingData, SubstepModel]:
    """What a checkpoint was trained with, and its model as ``load_trained`` has it. Raises: as ``load_trained``."""
    config = read_config(checkpoint / CONFIG_FILE, overrides)
    return config, prepare_data(config, checkpoint), model_training(config).build(checkpoint).eval()


def calibrate_checkpoint(checkpoint: Path, overrides: Sequence[str] = ()) -> Calibration:
    """Calibrate a checkpoint again, on the held-out demonstrations of the data it was trained on.

    Raises: as ``load_trained``; ValueError too when no demonstration is held out.
    """
    trained = load_trained(checkpoint, overrides)
    if trained.data.held_out is None:
        raise ValueError("no demonstration is held out: set data.held_out_every")
    choice = trained.chunks.eos.choice
    result = calibrate(trained.data.held_out, trained.data.transform, trained.eos_probabilities, choice)
    write_calibration(checkpoint, result, trained.kind)
    return result


def check_has_eos(config: ModelConfiguration, checkpoint: Path) -> None:
    """Raises: ValueError: the checkpoint has no EOS to look at."""
    if config.eos.source is EosSource.NONE:
        raise ValueError(
            f"{checkpoint} has eos.source 'none': it was trained without EOS, so there is none to look at or to "
            "calibrate; train with an eos_head, or with EOS as a token"
        )

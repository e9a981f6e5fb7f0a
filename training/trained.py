"""A checkpoint as training left it: its configuration, its data and its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from substep_policy.chunk import Chunk
from substep_policy.chunk_decoder import ChunkDecoder
from substep_policy.eos import EosSource
from substep_policy.model import ModelConfig, SubstepModel
from substep_policy.openvla_model import OpenVLAModelConfig
from training.config import CONFIG_FILE, model_of, read_config
from training.data import TrainingData, prepare_data
from training.models import ModelKind, model_kind
from training.objective import eos_probabilities
from training.transform import Batch


@dataclass(frozen=True)
class Trained:
    """``model_config`` is what the checkpoint says of itself, its calibrated threshold included.

    ``uses_bfloat16``: the run had ``mixed_precision: bf16``; frozen weights may then be bfloat16 beside float32 ones.
    """

    kind: ModelKind
    model_config: ModelConfig | OpenVLAModelConfig
    data: TrainingData
    model: SubstepModel
    decoder: ChunkDecoder
    uses_bfloat16: bool

    @torch.no_grad()
    def eos_probabilities(self, batch: Batch) -> Tensor:
        """Model inputs -> (B, C), in the precision in which training computed and calibrated."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.uses_bfloat16):
            return eos_probabilities(self.model, batch, self.decoder)

    @torch.no_grad()
    def chunk(self, batch: Batch) -> Chunk:
        """Model inputs of one sample -> the chunk that the policy would answer with, EOS in that precision."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.uses_bfloat16):
            actions, hidden = self.model.act(batch)
        return self.decoder.chunk(actions, hidden.float())


def load_trained(checkpoint: Path, overrides: Sequence[str] = ()) -> Trained:
    """Load a run's checkpoint, the model in ``eval()`` on the CPU.

    Args:
        overrides: of the configuration it was trained with.

    Raises:
        ValueError: the checkpoint is incomplete, does not fit its configuration, or has no EOS to look at.
        OSError: a file cannot be read.
    """
    config = read_config(checkpoint / CONFIG_FILE, overrides)
    model_config, kind = model_of(checkpoint), model_kind(config)
    check_has_eos(model_config, checkpoint)
    data = prepare_data(config, checkpoint)
    model = kind.build(checkpoint).eval()
    decoder = ChunkDecoder.build(model, model_config, data.statistics.action)
    return Trained(kind, model_config, data, model, decoder, config.mixed_precision == "bf16")


def check_has_eos(config: ModelConfig | OpenVLAModelConfig, checkpoint: Path) -> None:
    """Raises: ValueError: the checkpoint has no EOS to look at."""
    if config.eos.source is EosSource.NONE:
        raise ValueError(
            f"{checkpoint} has eos.source 'none': it was trained without EOS, so there is none to look at or to "
            "calibrate; train with an eos_head, or with EOS as a token"
        )

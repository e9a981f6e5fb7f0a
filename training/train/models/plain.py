"""What training does alike with every kind of model whose checkpoints are ``PlainCheckpoints``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from substep_core.hub import CONFIG_FILE
from substep_policy.checkpoints.folder import State
from substep_policy.checkpoints.plain import PlainCheckpoints, config_text, export_model, load_weights, save_model
from substep_policy.models.kind import ModelConfiguration
from substep_policy.models.model import SubstepModel
from training.train.config import FinetuneConfig
from training.train.models import check_actions_only, check_begins_with_own_vision
from training.train.models.heads import begin_heads
from training.whole_file import write_whole

C = TypeVar("C", bound=ModelConfiguration)


class PlainTraining(Generic[C]):
    """The part of ``training.train.models.ModelTraining`` that has to do with weights; all of them are trained.

    A kind adds ``store_format``, ``proprio_statistics`` and ``inputs``.

    Args:
        run: to be trained.

    Raises:
        ValueError: it asks for words, LoRA or gradient checkpointing.
    """

    def __init__(self, checkpoints: PlainCheckpoints[C], run: FinetuneConfig) -> None:
        check_actions_only(run)
        check_begins_with_own_vision(run)
        if run.lora is not None or run.gradient_checkpointing:
            kind = run.model.model_type
            raise ValueError(f"lora and gradient_checkpointing are for the openvla backbone, and model is {kind}")
        self.checkpoints, self.config = checkpoints, run.checkpoint_model()

    def build(self, checkpoint: Path | None, new_heads: bool = False) -> SubstepModel:
        model = self.checkpoints.build(self.config)
        if checkpoint is None:
            model.decoder.begin()
        else:
            load_weights(checkpoint, model, begin_heads(model, checkpoint, new_heads), self.fitted_backbone)
        return model

    def fitted_backbone(self, state: State) -> State:
        """The weights of a checkpoint's backbone as this run's begin; a kind that can begin from others says how."""
        return state

    def save(self, folder: Path, state: Mapping[str, Tensor], step: int) -> None:
        with torch.device("meta"):
            model = self.checkpoints.build(self.config)
        model.load_state_dict(state, assign=True)
        save_model(folder, self.config, model, step)

    def write_config(self, folder: Path, config: C) -> None:
        write_whole(folder / CONFIG_FILE, config_text(config))

    def export(self, checkpoint: Path, out: Path) -> None:
        export_model(out, *self.checkpoints.load(checkpoint))

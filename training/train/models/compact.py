"""Training the compact model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from substep_core.configuration import dump
from substep_planner.decomposers.library import shipped_library
from substep_policy.checkpoints.hub import CONFIG_FILE
from substep_policy.models.compact.checkpoint import export_model, load_model, load_weights, read_config, save_model
from substep_policy.models.compact.instruction_tokens import TOKENIZER_FILE, InstructionTokenizer, train_tokenizer
from substep_policy.models.compact.model import CompactModelConfig, build_compact
from substep_policy.models.compact.preprocessing import Preprocessor
from substep_policy.models.model import SubstepModel
from substep_policy.models.normalization import Statistics
from training.data.dataset import Sample
from training.data.frame_cache import StoreFormat
from training.data.paraphrases import training_wordings
from training.train.config import FinetuneConfig
from training.train.models import check_actions_only
from training.train.models.heads import begin_heads
from training.whole_file import write_whole


@dataclass(frozen=True)
class CompactInputs:
    """Implements ``training.train.models.ModelInputs``. Images enter as they are stored."""

    preprocessor: Preprocessor

    def text(self, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
        ids, attention = self.preprocessor.text([sample.instruction for sample in samples])
        return {"input_ids": ids, "attention_mask": attention}

    def check(self, instructions: Sequence[str]) -> None:
        self.preprocessor.text(instructions)

    def fits(self, instruction: str) -> bool:
        return self.preprocessor.tokenizer.fits(instruction)

    def proprio(self, proprio: np.ndarray) -> np.ndarray:
        return self.preprocessor.proprio(proprio)

    def images(self, frames: Tensor, is_cropped: bool) -> dict[str, Tensor]:
        return {"images": frames}

    def save(self, folder: Path) -> None:
        self.preprocessor.tokenizer.save(folder / TOKENIZER_FILE)


@dataclass(frozen=True)
class CompactTraining:
    """Implements ``training.train.models.ModelTraining``. ``tokenizer``: a file; None: one is made."""

    config: CompactModelConfig
    tokenizer: Path | None

    @property
    def store_format(self) -> StoreFormat:
        return StoreFormat(self.config.robot, self.config.cameras, self.config.preprocessing.image_size)

    def proprio_statistics(self, proprio: np.ndarray) -> Statistics:
        encoded = self.config.preprocessing.proprio_encoding.apply(proprio, self.config.robot)
        return Statistics.of(np.asarray(encoded, np.float64))

    def inputs(self, checkpoint: Path | None, texts: set[str], proprio: Statistics) -> CompactInputs:
        """Raises: ValueError: the tokenizer has more tokens than the backbone."""
        length, size = self.config.preprocessing.max_instruction_tokens, self.config.backbone.vocabulary_size
        path = self.tokenizer if checkpoint is None else checkpoint / TOKENIZER_FILE
        if path is None:
            tokenizer = InstructionTokenizer(train_tokenizer(_all_wordings(plan_texts() | texts), size), length)
        else:
            tokenizer = InstructionTokenizer.load(path, length)
        if tokenizer.vocabulary_size > size:
            raise ValueError(
                f"the tokenizer has {tokenizer.vocabulary_size} tokens, backbone.vocabulary_size is {size}"
            )
        return CompactInputs(Preprocessor(self.config, proprio, tokenizer))

    def build(self, checkpoint: Path | None) -> SubstepModel:
        model = build_compact(self.config)
        if checkpoint is None:
            model.decoder.begin()
        else:
            load_weights(checkpoint, model, begin_heads(model, checkpoint))
        return model

    def save(self, folder: Path, state: Mapping[str, Tensor], step: int) -> None:
        save_model(folder, self.config, self._holding(state), step)

    def store_threshold(self, folder: Path, threshold: float) -> None:
        config = read_config(folder)
        config = dataclasses.replace(config, eos=dataclasses.replace(config.eos, threshold=threshold, calibrated=True))
        write_whole(folder / CONFIG_FILE, json.dumps(dump(config), indent=2) + "\n")

    def export(self, checkpoint: Path, out: Path) -> None:
        config, model = load_model(checkpoint)
        export_model(out, config, model)

    def _holding(self, state: Mapping[str, Tensor]) -> SubstepModel:
        with torch.device("meta"):
            model = build_compact(self.config)
        model.load_state_dict(state, assign=True)
        return model


def training(config: FinetuneConfig) -> CompactTraining:
    """Raises: ValueError: it asks for what the compact model does not have."""
    check_actions_only(config)
    if config.lora is not None or config.gradient_checkpointing:
        raise ValueError("lora and gradient_checkpointing are for the openvla backbone, and model is compact")
    return CompactTraining(config.checkpoint_model(), config.data.tokenizer)


def plan_texts() -> set[str]:
    """Instructions and subgoals of the shipped plans."""
    plans = [plan for suite in shipped_library().values() for plan in suite.values()]
    return {plan.instruction for plan in plans} | {step.instruction for plan in plans for step in plan.substeps}


def _all_wordings(texts: Iterable[str]) -> set[str]:
    return {wording for text in texts for wording in training_wordings(text)}

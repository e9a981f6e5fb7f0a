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

from substep_planner.decomposers.library import shipped_library
from substep_policy.checkpoint import CONFIG_FILE, export_model, load_model, load_weights, read_config, save_model
from substep_policy.configuration import dump
from substep_policy.instruction_tokens import TOKENIZER_FILE, InstructionTokenizer, train_tokenizer
from substep_policy.model import ModelConfig, SubstepModel, build_model
from substep_policy.normalization import Statistics
from substep_policy.preprocessing import Preprocessor
from training.paraphrases import training_wordings
from training.store import StoreFormat
from training.whole_file import write_whole


@dataclass(frozen=True)
class CompactInputs:
    """Implements ``training.models.ModelInputs``. Images enter as they are stored."""

    preprocessor: Preprocessor

    def text(self, instructions: Sequence[str]) -> dict[str, np.ndarray]:
        ids, attention = self.preprocessor.text(instructions)
        return {"input_ids": ids, "attention_mask": attention}

    def proprio(self, proprio: np.ndarray) -> np.ndarray:
        return self.preprocessor.proprio(proprio)

    def images(self, frames: Tensor, is_cropped: bool) -> dict[str, Tensor]:
        return {"images": frames}

    def save(self, folder: Path) -> None:
        self.preprocessor.tokenizer.save(folder / TOKENIZER_FILE)


@dataclass(frozen=True)
class CompactKind:
    """Implements ``training.models.ModelKind``. ``tokenizer`` is a file to use; None trains one on what is said."""

    config: ModelConfig
    tokenizer: Path | None

    @property
    def store_format(self) -> StoreFormat:
        return StoreFormat(self.config.preprocessing.cameras, self.config.preprocessing.image_size)

    def proprio_statistics(self, proprio: np.ndarray) -> Statistics:
        return Statistics.of(np.asarray(self.config.preprocessing.proprio_encoding.apply(proprio), np.float64))

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
        return CompactInputs(Preprocessor(self.config.preprocessing, proprio, tokenizer))

    def build(self, checkpoint: Path | None) -> SubstepModel:
        model = build_model(self.config)
        if checkpoint is not None:
            load_weights(checkpoint, model)
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
            model = build_model(self.config)
        model.load_state_dict(state, assign=True)
        return model


def plan_texts() -> set[str]:
    """Instructions and subgoals of the shipped plans."""
    plans = [plan for suite in shipped_library().values() for plan in suite.values()]
    return {plan.instruction for plan in plans} | {step.instruction for plan in plans for step in plan.substeps}


def _all_wordings(texts: Iterable[str]) -> set[str]:
    return {wording for text in texts for wording in training_wordings(text)}

"""Training the compact model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from substep_planner.decomposers.library import shipped_library
from substep_policy.checkpoints.folder import State
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.models.compact.backbone import CompactBackbone
from substep_policy.models.compact.checkpoints import CHECKPOINTS
from substep_policy.models.compact.instruction_tokens import InstructionTokenizer, train_tokenizer
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.models.compact.preprocessing import Preprocessor
from substep_policy.models.model import SubstepModel
from substep_policy.models.normalization import Statistics
from training.data.dataset import Sample
from training.data.frame_cache import StoreFormat
from training.data.paraphrases import training_wordings
from training.train.config import FinetuneConfig
from training.train.models.frozen_vision import check_can_freeze
from training.train.models.plain import PlainTraining


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
class CompactImageNetwork:
    """Implements ``training.train.models.frozen_vision.ImageNetwork``: its network is told the substep."""

    network: CompactBackbone
    inputs: CompactInputs

    level_of_task = None

    @property
    def features_shape(self) -> tuple[int, int]:
        return self.network.features_shape

    @property
    def tokenizer(self) -> str:
        return self.inputs.preprocessor.tokenizer.tokenizer.to_str()

    def freeze(self) -> None:
        self.network.freeze_features()

    def see(self, frames: Tensor, told: Sequence[str]) -> Tensor:
        ids, mask = (torch.from_numpy(array).to(frames.device) for array in self.inputs.preprocessor.text(told))
        return self.network.look(frames, self.network.encode_text(ids, mask).summary)


class CompactTraining(PlainTraining[CompactModelConfig]):
    """Implements ``training.train.models.ModelTraining``. Where there is no tokenizer's file, one is made."""

    def __init__(self, run: FinetuneConfig) -> None:
        super().__init__(CHECKPOINTS, run)
        if run.freeze_vision:
            check_can_freeze(run, is_told_words=True)
        self._tokenizer = run.data.tokenizer

    def fitted_backbone(self, state: State) -> State:
        """Those of other chunk lengths too: actions that the checkpoint has not begin as its last one."""
        queries = state.get("queries")
        if queries is None or not len(queries):
            return state  # of no compact model, which is said where it is looked at whole
        rows = torch.arange(self.config.chunk_length).clamp(max=len(queries) - 1)
        return {**state, "queries": queries[rows]}

    @property
    def store_format(self) -> StoreFormat:
        return StoreFormat(self.config.robot, self.config.cameras, self.config.preprocessing.image_size)

    def proprio_statistics(self, proprio: np.ndarray) -> Statistics:
        encoded = self.config.preprocessing.proprio_encoding.apply(proprio, self.config.robot)
        return Statistics.of(np.asarray(encoded, np.float64))

    def inputs(self, checkpoint: Path | None, texts: set[str], proprio: Statistics) -> CompactInputs:
        """Raises: ValueError: the tokenizer has more tokens than the backbone."""
        length, size = self.config.preprocessing.max_instruction_tokens, self.config.backbone.vocabulary_size
        path = self._tokenizer if checkpoint is None else checkpoint / TOKENIZER_FILE
        if path is None:
            tokenizer = InstructionTokenizer(train_tokenizer(_all_wordings(plan_texts() | texts), size), length)
        else:
            tokenizer = InstructionTokenizer.load(path, length)
        if tokenizer.vocabulary_size > size:
            raise ValueError(
                f"the tokenizer has {tokenizer.vocabulary_size} tokens, backbone.vocabulary_size is {size}"
            )
        return CompactInputs(Preprocessor(self.config, proprio, tokenizer))

    def image_network(self, model: SubstepModel, inputs: CompactInputs) -> CompactImageNetwork:
        return CompactImageNetwork(model.backbone, inputs)


def training(config: FinetuneConfig) -> CompactTraining:
    """Raises: ValueError: it asks for what the compact model does not have."""
    return CompactTraining(config)


def plan_texts() -> set[str]:
    """Instructions and subgoals of the shipped plans."""
    plans = [plan for suite in shipped_library().values() for plan in suite.values()]
    return {plan.instruction for plan in plans} | {step.instruction for plan in plans for step in plan.substeps}


def _all_wordings(texts: Iterable[str]) -> set[str]:
    return {wording for text in texts for wording in training_wordings(text)}

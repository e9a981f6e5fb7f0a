"""Training π0.5: words for substeps and actions, or one of them (``training.train.modes``)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from substep_core.named_substep import TASK_DONE
from substep_policy.checkpoints.folder import LATEST, has_component
from substep_policy.checkpoints.part import load_parts
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE, read_tokenizer
from substep_policy.heads.fast_tokens import FastTokensConfig
from substep_policy.models.compact.instruction_tokens import extended_tokenizer, train_tokenizer
from substep_policy.models.normalization import Statistics
from substep_policy.models.pi05.config import Conditioning, ConvolutionSize
from substep_policy.models.pi05.images import pixels
from substep_policy.models.pi05.model import Pi05Model, Pi05ModelConfig, build_pi05
from substep_policy.models.pi05.prompt import Pi05PromptBuilder, Pi05Prompts
from substep_policy.models.pi05.published import EOS_HEAD, load_model, published_parts, save_model
from substep_policy.models.pi05.published_config import write_config
from substep_policy.models.pi05.tokenizer import HuggingFaceTokenizer, find_tokenizer
from substep_policy.registry import POLICIES
from training.data.dataset import Sample
from training.data.frame_cache import Resizing, StoreFormat
from training.train.config import FinetuneConfig
from training.train.models.compact import plan_texts
from training.train.models.frozen_vision import check_can_freeze
from training.train.models.heads import make
from training.train.models.pi05_start import NUMBERS, start_numbers, start_vision
from training.train.models.pi05_vision import Pi05ImageNetwork
from training.train.modes import WordsAndActionTokens

CPU = torch.device("cpu")
EXPORTED_DTYPE = torch.bfloat16
PROMPT_WORDS = (TASK_DONE, "state subtask action")

log = logging.getLogger("training.train.models")


@dataclass(frozen=True)
class Pi05Inputs:
    """Implements ``training.train.models.ModelInputs`` with the policy's own prompts and images."""

    config: Pi05ModelConfig
    tokenizer: HuggingFaceTokenizer
    proprio_statistics: Statistics

    @property
    def builder(self) -> Pi05PromptBuilder:
        return Pi05PromptBuilder(self.tokenizer, self.config.backbone, self.proprio_statistics)

    def text(self, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
        """Low-level prompts; and, with ``task_`` before their names, high-level ones with the words to be said.

        Of a model whose expert is conditioned jointly, one prompt that has both: what is said is what is carried out,
        and it is taught where that is what comes next in the plan's own words.

        Raises:
            ValueError: words are taught that the policy would be cut off in.
        """
        builder = self.builder
        proprio = np.stack([sample.proprio for sample in samples])
        said, tasks = [sample.instruction for sample in samples], [sample.task for sample in samples]
        following = [sample.next_substep for sample in samples]
        if self.config.backbone.conditioning is Conditioning.JOINT:
            said = [TASK_DONE if other == TASK_DONE else one for one, other in zip(said, following, strict=True)]
            is_taught = np.array([one == other for one, other in zip(said, following, strict=True)])
            prompts = builder.high(tasks, proprio, said)
            self._check_answers(prompts, said, is_taught)
            return _arrays(prompts, "") | {"answer_counts": is_taught}
        prompts = builder.high(tasks, proprio, following)
        is_taught = np.array([bool(words) for words in following])
        self._check_answers(prompts, following, is_taught)
        return _arrays(builder.low(said, proprio), "") | _arrays(prompts, "task_") | {"answer_counts": is_taught}

    def _check_answers(self, prompts: Pi05Prompts, words: Sequence[str], is_taught: np.ndarray) -> None:
        """Raises: ValueError: words are taught that the policy would be cut off in."""
        most = self.config.backbone.prompt.max_answer_tokens
        lengths = np.where(is_taught, prompts.attention_mask.sum(axis=1) - prompts.answer_start, 0)
        if (longest := int(lengths.max())) > most:
            text = words[int(lengths.argmax())]
            raise ValueError(
                f"the words {text!r} have {longest} tokens with their end, and a policy says at most {most}: raise "
                "model.backbone.prompt.max_answer_tokens"
            )

    def check(self, instructions: Sequence[str]) -> None:
        """In the state that has the longest words: the lowest one."""
        builder = self.builder
        lowest = np.tile(self.proprio_statistics.min, (len(instructions), 1))
        builder.low(instructions, lowest)
        builder.high(instructions, lowest)

    def fits(self, instruction: str) -> bool:
        try:
            self.check([instruction])
        except ValueError:
            return False
        return True

    def proprio(self, proprio: np.ndarray) -> np.ndarray:
        return self.proprio_statistics.normalize(proprio)

    def images(self, frames: Tensor, is_cropped: bool) -> dict[str, Tensor]:
        flat = pixels(frames.flatten(0, 1), self.config.backbone.image_size)
        return {"pixel_values": flat.unflatten(0, frames.shape[:2])}

    def save(self, folder: Path) -> None:
        self.tokenizer.save(folder)


@dataclass(frozen=True)
class Pi05Training:
    """Implements ``training.train.models.ModelTraining``.

    Attributes:
        initial_vision: a compact policy whose image network a new model starts with.
        tokenizer: a file to use where no checkpoint has one; None: one is made of the words of plans and data.
        reserved: ids at the end of the vocabulary that are actions.
    """

    config: Pi05ModelConfig
    tokenizer: Path | None
    reserved: int = 0
    initial_vision: str | None = None

    @property
    def store_format(self) -> StoreFormat:
        size = self.config.backbone.image_size
        return StoreFormat(self.config.robot, self.config.cameras, size, Resizing.PI05)

    def proprio_statistics(self, proprio: np.ndarray) -> Statistics:
        return Statistics.of(proprio)

    def inputs(self, checkpoint: Path | None, texts: set[str], proprio: Statistics) -> Pi05Inputs:
        """Raises: ValueError: the tokenizer is none, or has more tokens than the model."""
        rows = self.config.backbone.vocabulary_size
        if checkpoint is not None:
            tokenizer = find_tokenizer(checkpoint)
        elif self.tokenizer is not None:
            tokenizer = find_tokenizer(self.tokenizer.parent)
        elif (extended := self._extended_tokenizer()) is not None:
            tokenizer = extended
        else:
            said = {*plan_texts(), *texts, *NUMBERS, *PROMPT_WORDS}
            tokenizer = HuggingFaceTokenizer(train_tokenizer(said, rows - self.reserved))
        if tokenizer.size > rows:
            raise ValueError(f"the tokenizer has {tokenizer.size} tokens, backbone.vocabulary_size is {rows}")
        if self.reserved and (shared := tokenizer.size - (rows - self.reserved)) > 0:
            log.warning("%d ids of words stand for actions too, as in published models", shared)
        return Pi05Inputs(self.config, tokenizer, proprio)

    def build(self, checkpoint: Path | None, new_heads: bool = False) -> Pi05Model:
        if checkpoint is None:
            model = build_pi05(self.config)
            if self.initial_vision is None:
                log.warning("there is no initial_checkpoint: the whole model starts from random weights")
            else:
                start_vision(model, self.initial_vision)
            if (tokenizer := self._extended_tokenizer()) is not None:
                start_numbers(model, tokenizer)
            return model
        with torch.device("meta"):
            model = build_pi05(self.config)
        has_head = has_component(checkpoint, EOS_HEAD.removesuffix(".")) and not new_heads
        parts = published_parts(checkpoint, model)
        load_parts(checkpoint, parts if has_head else parts[:1], model, CPU, torch.float32)
        if model.eos_head is not None and not has_head:
            make(model.eos_head)
            if not new_heads:
                log.warning("%s has no eos_head: it starts from random weights", checkpoint)
        return model

    def _extended_tokenizer(self) -> HuggingFaceTokenizer | None:
        """Of the policy whose image network is told words, with numbers; None: it is told none."""
        if self.tokenizer is not None or self.initial_vision is None or self.config.backbone.told is None:
            return None
        known = read_tokenizer(POLICIES.folder(self.initial_vision) / TOKENIZER_FILE)
        return HuggingFaceTokenizer(extended_tokenizer(known, (*NUMBERS, *PROMPT_WORDS)))

    def image_network(self, model: Pi05Model, inputs: Pi05Inputs) -> Pi05ImageNetwork:
        return Pi05ImageNetwork(model.backbone.vision_tower, inputs)

    def save(self, folder: Path, state: Mapping[str, Tensor], step: int) -> None:
        save_model(folder, self.config, state, step)

    def write_config(self, folder: Path, config: Pi05ModelConfig) -> None:
        write_config(folder, config)

    def export(self, checkpoint: Path, out: Path) -> None:
        config, model = load_model(checkpoint, CPU, torch.float32)
        out.mkdir(parents=True, exist_ok=True)
        save_model(out, config, model.state_dict(), LATEST, EXPORTED_DTYPE)


def training(config: FinetuneConfig) -> Pi05Training:
    """Raises: ValueError: it asks for what training of a π0.5 does not have."""
    if config.lora is not None:
        raise ValueError("lora is for the openvla backbone, and model is pi05")
    is_convolution = isinstance(config.model.backbone.vision, ConvolutionSize)
    if config.initial_vision is not None and not is_convolution:
        raise ValueError(
            f"initial_vision is {config.initial_vision}, and model.backbone.vision is a "
            f"{config.model.backbone.vision.type}: expected a convolution"
        )
    if config.freeze_vision:
        if not is_convolution:
            raise ValueError("freeze_vision is for model.backbone.vision of type convolution, and it is a siglip")
        check_can_freeze(config, config.model.backbone.told is not None)
    tokenizer = config.data.tokenizer
    if tokenizer is not None and tokenizer.name != TOKENIZER_FILE:
        raise ValueError(f"data.tokenizer is {tokenizer}, expected a file {TOKENIZER_FILE}")
    head, objective = config.model.action_head, config.objective
    spoken = objective.tokens if isinstance(objective, WordsAndActionTokens) else head
    is_spoken = isinstance(spoken, FastTokensConfig)
    if is_spoken and config.keyframe_weight:
        raise ValueError("keyframe_weight is for states of single actions, and FAST tokens have none: leave it 0")
    return Pi05Training(
        config.checkpoint_model(), tokenizer, spoken.reserved if is_spoken else 0, config.initial_vision
    )


def _arrays(prompts: Pi05Prompts, level: str) -> dict[str, np.ndarray]:
    return {f"{level}{name}": array for name, array in prompts.arrays.items()}

"""From a data configuration to data sets, statistics and preprocessing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from substep_planner.decomposers.library import shipped_library
from substep_policy.instruction_tokens import TOKENIZER_FILE, InstructionTokenizer, train_tokenizer
from substep_policy.model import ModelConfig
from substep_policy.normalization import (
    DatasetStatistics,
    Statistics,
    action_statistics,
    load_statistics,
    save_statistics,
)
from substep_policy.preprocessing import Preprocessor, ProprioEncoding
from training.config import DataConfig
from training.dataset import SubstepDataset, split_episodes
from training.demonstrations import DemonstrationError, ReadReport, read_demonstrations
from training.labels import SubstepLabels
from training.paraphrases import training_wordings
from training.store import DemonstrationStore, StoreFormat
from training.transform import SubstepTransform

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """What a run trains on, and what its checkpoints must keep of it. ``held_out`` is None where nothing is."""

    name: str
    training: SubstepDataset
    held_out: SubstepDataset | None
    statistics: DatasetStatistics
    tokenizer: InstructionTokenizer
    transform: SubstepTransform

    def save(self, folder: Path) -> None:
        """The part a policy needs, into a checkpoint folder."""
        save_statistics(folder, self.name, self.statistics)
        self.tokenizer.save(folder / TOKENIZER_FILE)


def open_store(config: DataConfig, model: ModelConfig) -> DemonstrationStore:
    """The frames of all sources, read into the cache as far as they are not there yet.

    Raises:
        DemonstrationError: there is nothing to train on, or something is damaged and ``skip_damaged`` is off.
    """
    store = DemonstrationStore(config.cache, StoreFormat(model.preprocessing.cameras, model.preprocessing.image_size))
    report = ReadReport()
    store.extend(read_demonstrations(config.sources, report, config.skip_damaged), report, config.workers)
    log.info("%d demonstrations in %s, %d skipped", len(store.episodes), config.cache, len(report.skipped))
    if report.skipped and not config.skip_damaged:
        raise DemonstrationError(report.skipped[0])
    if not store.episodes:
        raise DemonstrationError(f"nothing to train on: {len(report.skipped)} demonstrations were skipped, none read")
    return store


def prepare_data(config: DataConfig, model: ModelConfig, checkpoint: Path | None, is_resumed: bool) -> TrainingData:
    """Data sets and preprocessing.

    Args:
        checkpoint: one to go on from: its tokenizer is kept, and when ``is_resumed`` its statistics too.
    """
    store = open_store(config, model)
    labels = SubstepLabels() if config.labels is None else SubstepLabels.load(config.labels)
    training, held_out = split_episodes(store.episodes, config.held_out_every)
    data = SubstepDataset(store, labels, config.rules, training, model.chunk_length)
    log.info("training: %d timesteps of %d episodes; %s", len(data), len(training), data.label_use)
    tokenizer = _tokenizer(config, model, checkpoint, data)
    statistics = load_statistics(checkpoint) if checkpoint and is_resumed else _statistics(data, model)
    preprocessor = Preprocessor(model.preprocessing, statistics.proprio, tokenizer)
    return TrainingData(
        config.name,
        data,
        SubstepDataset(store, labels, config.rules, held_out, model.chunk_length) if held_out else None,
        statistics,
        tokenizer,
        SubstepTransform(preprocessor, statistics.action, model.gripper),
    )


def _statistics(data: SubstepDataset, model: ModelConfig) -> DatasetStatistics:
    encoding: ProprioEncoding = model.preprocessing.proprio_encoding
    proprio = data.training_proprio()
    return DatasetStatistics(
        action_statistics(data.training_actions(), model.gripper),
        Statistics.of(np.asarray(encoding.apply(proprio), np.float64)),
        len(proprio),
        len(data.episodes),
    )


def _tokenizer(
    config: DataConfig, model: ModelConfig, checkpoint: Path | None, data: SubstepDataset
) -> InstructionTokenizer:
    """The checkpoint's, the configured one, or one trained on the plans and on what the data say."""
    length, size = model.preprocessing.max_instruction_tokens, model.backbone.vocabulary_size
    path = checkpoint / TOKENIZER_FILE if checkpoint else config.tokenizer
    if path is not None:
        tokenizer = InstructionTokenizer.load(path, length)
    else:
        texts = plan_texts() | {text for truth in data.truths for text in truth.instructions}
        tokenizer = InstructionTokenizer(train_tokenizer(_all_wordings(texts), size), length)
    if tokenizer.vocabulary_size > size:
        raise ValueError(f"the tokenizer has {tokenizer.vocabulary_size} tokens, backbone.vocabulary_size is {size}")
    return tokenizer


def plan_texts() -> set[str]:
    """Instructions and subgoals of the shipped plans."""
    plans = [plan for suite in shipped_library().values() for plan in suite.values()]
    return {plan.instruction for plan in plans} | {step.instruction for plan in plans for step in plan.substeps}


def _all_wordings(texts: Iterable[str]) -> set[str]:
    return {wording for text in texts for wording in training_wordings(text)}

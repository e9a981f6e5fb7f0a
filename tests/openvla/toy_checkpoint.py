"""Writes a toy OpenVLA-OFT checkpoint in the published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from substep_policy.benchmarks.random_models import tokenizer_of_words
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.heads import EOSHeadConfig, L1HeadConfig
from substep_policy.models.model import EosDetection
from substep_policy.models.normalization import (
    DatasetStatistics,
    GripperConvention,
    Statistics,
    action_statistics,
    save_statistics,
)
from substep_policy.models.openvla.published import save_model
from tests.openvla.toy import WIDTH, WORDS, drawn_model, toy_config


def write_toy_checkpoint(folder: Path, dataset: str, eos_probability: float) -> Path:
    """A policy of chunks of three small motions, with an EOS head that says the same of every action."""
    config = toy_config(
        L1HeadConfig(hidden_dim=WIDTH), eos_head=EOSHeadConfig(hidden_dim=20), eos=EosDetection(threshold=0.5)
    )
    model = drawn_model(config).float()
    last = model.eos_head.model[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, float(np.log(eos_probability / (1 - eos_probability))))
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder, config, model, step=7, shard_size=100_000)
    tokenizer_of_words({word: i for i, word in enumerate(WORDS)}).save(str(folder / TOKENIZER_FILE))
    random = np.random.default_rng(0)
    action = action_statistics(random.uniform(-0.05, 0.05, (100, 7)), GripperConvention.OPEN_IS_ONE, config.robot)
    proprio = Statistics.of(random.normal(size=(100, 8)))
    save_statistics(folder, dataset, DatasetStatistics(action, proprio, 100, 2))
    return folder

"""Toy models: the compact model at a size that builds and runs in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from substep_policy.backbones.compact import CompactConfig
from substep_policy.checkpoint import save_model
from substep_policy.heads import EOSHeadConfig, L1HeadConfig
from substep_policy.instruction_tokens import TOKENIZER_FILE, InstructionTokenizer, train_tokenizer
from substep_policy.model import ModelConfig, build_model
from substep_policy.normalization import DatasetStatistics, Statistics, action_statistics, save_statistics
from substep_policy.preprocessing import PreprocessingConfig

TEXTS = ("pick up the black bowl", "place the black bowl on the plate", "open the top drawer of the cabinet")


@pytest.fixture
def toy_config() -> ModelConfig:
    return ModelConfig(
        backbone=CompactConfig(
            vision_widths=(8, 8, 16),
            vision_blocks=(1, 1),
            vocabulary_size=300,
            text_layers=1,
            width=16,
            heads=2,
            decoder_layers=1,
            action_width=4,
            dropout=0.0,
        ),
        action_head=L1HeadConfig(hidden_dim=16, blocks=1),
        eos_head=EOSHeadConfig(hidden_dim=16),
        preprocessing=PreprocessingConfig(image_size=32, max_instruction_tokens=12),
    )


@pytest.fixture
def toy_checkpoint(toy_config: ModelConfig, tmp_path: Path) -> Path:
    """A complete checkpoint folder with random weights, saved at step 5."""
    torch.manual_seed(0)
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    save_model(folder, toy_config, build_model(toy_config), step=5)
    InstructionTokenizer(train_tokenizer(TEXTS, 300), 12).save(folder / TOKENIZER_FILE)
    random = np.random.default_rng(0)
    actions = random.uniform(-1, 1, (200, 7))
    proprio = random.normal(size=(200, toy_config.preprocessing.proprio_encoding.width))
    statistics = DatasetStatistics(action_statistics(actions, toy_config.gripper), Statistics.of(proprio), 200, 4)
    save_statistics(folder, "toy", statistics)
    return folder

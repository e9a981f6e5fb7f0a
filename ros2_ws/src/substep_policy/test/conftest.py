"""Toy models: the compact model at a size that builds and runs in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.checkpoints.plain import save_model
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.heads import EOSHeadConfig, L1HeadConfig
from substep_policy.models.compact.backbone import CompactConfig
from substep_policy.models.compact.instruction_tokens import InstructionTokenizer, train_tokenizer
from substep_policy.models.compact.model import CompactModelConfig, build_compact
from substep_policy.models.compact.preprocessing import PreprocessingConfig
from substep_policy.models.normalization import DatasetStatistics, Statistics, action_statistics, save_statistics

TEXTS = ("pick up the black bowl", "place the black bowl on the plate", "open the top drawer of the cabinet")


@pytest.fixture
def toy_config() -> CompactModelConfig:
    return CompactModelConfig(
        robot=load_robot(LIBERO_PANDA),
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
        preprocessing=PreprocessingConfig(image_size=32, max_instruction_tokens=40),
    )


@pytest.fixture
def toy_checkpoint(toy_config: CompactModelConfig, tmp_path: Path) -> Path:
    """A complete checkpoint folder with random weights, saved at step 5."""
    torch.manual_seed(0)
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    save_model(folder, toy_config, build_compact(toy_config), step=5)
    InstructionTokenizer(train_tokenizer(TEXTS, 300), 40).save(folder / TOKENIZER_FILE)
    random = np.random.default_rng(0)
    drawn = random.uniform(-1, 1, (200, 7))
    actions = action_statistics(drawn, toy_config.gripper, toy_config.robot)
    proprio = Statistics.of(random.normal(size=(200, sum(toy_config.proprio_widths.values()))))
    save_statistics(folder, "toy", DatasetStatistics(actions, proprio, 200, 4))
    return folder

"""OpenVLA-OFT at a size that builds and runs in milliseconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.observation import Observation
from substep_policy.benchmarks.random_models import TOY_BACKBONE, tokenizer_of_words
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.heads import L1HeadConfig
from substep_policy.models.model import SubstepModel
from substep_policy.models.normalization import (
    DatasetStatistics,
    GripperConvention,
    Statistics,
    action_statistics,
    save_statistics,
)
from substep_policy.models.openvla.config import DINOV2_LARGE, LlamaTokens, OpenVLAConfig
from substep_policy.models.openvla.model import OpenVLAModelConfig, build_openvla
from substep_policy.models.openvla.published import save_model

WORDS = ("<unk>", "<s>", "</s>", "in", "out", ":", "?", "what", "robot", "pick", "up", "the", "bowl", "", "<pad>")


@pytest.fixture
def toy_openvla() -> OpenVLAConfig:
    """The toy's layers, with words of its own, larger images, and a shorter chunk."""
    toy = TOY_BACKBONE
    return dataclasses.replace(
        toy,
        dinov2=dataclasses.replace(toy.dinov2, mean=DINOV2_LARGE.mean, std=DINOV2_LARGE.std),
        language_model=dataclasses.replace(toy.language_model, vocabulary_size=len(WORDS), padding_rows=0),
        tokens=LlamaTokens(bos=1, eos=2, empty=13, pad=14),
        image_size=56,
        chunk_length=3,
    )


@pytest.fixture
def toy_config(toy_openvla: OpenVLAConfig) -> OpenVLAModelConfig:
    """With an L1 head and without an EOS head, as the published checkpoints are."""
    return OpenVLAModelConfig(
        robot=load_robot(LIBERO_PANDA), backbone=toy_openvla, action_head=L1HeadConfig(hidden_dim=32)
    )


@pytest.fixture
def toy_model(toy_config: OpenVLAModelConfig) -> SubstepModel:
    return random_model(toy_config)


def random_model(config: OpenVLAModelConfig) -> SubstepModel:
    """In float64. No weight is left at a value that hides mistakes."""
    torch.manual_seed(0)
    model = build_openvla(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, mean=0.1 if weight.ndim == 1 else 0.0, std=0.3)
    return model.double().eval()


@pytest.fixture
def toy_tokenizer() -> Tokenizer:
    return tokenizer_of_words({word: i for i, word in enumerate(WORDS)})


@pytest.fixture
def token_openvla(toy_openvla: OpenVLAConfig) -> OpenVLAConfig:
    """With room for action tokens behind the words, and rows behind those."""
    size = dataclasses.replace(toy_openvla.language_model, vocabulary_size=len(WORDS) + 256 + 8, padding_rows=8)
    return dataclasses.replace(toy_openvla, language_model=size)


@pytest.fixture
def write_checkpoint(toy_tokenizer: Tokenizer, tmp_path: Path) -> Callable[[OpenVLAModelConfig], Path]:
    """Writes a complete checkpoint with random weights, in several shards, as saved at step 150000."""

    def write(config: OpenVLAModelConfig, model: SubstepModel | None = None) -> Path:
        save_model(tmp_path, config, model or random_model(config), step=150000, shard_size=40_000)
        toy_tokenizer.save(str(tmp_path / TOKENIZER_FILE))
        random = np.random.default_rng(0)
        action = action_statistics(random.uniform(-0.5, 0.5, (100, 7)), GripperConvention.OPEN_IS_ONE, config.robot)
        statistics = DatasetStatistics(action, Statistics.of(random.normal(size=(100, 8))), 100, 2)
        save_statistics(tmp_path, "libero_toy_no_noops", statistics)
        return tmp_path

    return write


@pytest.fixture
def observation() -> Observation:
    random = np.random.default_rng(1)
    images = {name: random.integers(0, 256, (64, 64, 3), np.uint8) for name in ("agentview", "eye_in_hand")}
    return Observation(images=images, proprio=random.normal(size=8).astype(np.float32))

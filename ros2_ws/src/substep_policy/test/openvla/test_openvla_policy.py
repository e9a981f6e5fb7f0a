"""A checkpoint in the published layout, served as a policy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from substep_policy.backbones.openvla.published import save_model
from substep_policy.checkpoint import CheckpointError
from substep_policy.chunk import NO_EOS
from substep_policy.heads import EOSClassificationHead, EOSHeadConfig
from substep_policy.instruction_tokens import TOKENIZER_FILE
from substep_policy.model import SubstepModel
from substep_policy.normalization import (
    DatasetStatistics,
    GripperConvention,
    Statistics,
    action_statistics,
    save_statistics,
)
from substep_policy.observation import Observation
from substep_policy.openvla_model import OpenVLAModelConfig
from substep_policy.registry import POLICIES, PolicySettings

SETTINGS = PolicySettings(device="cpu")


@pytest.fixture
def folder(toy_config: OpenVLAModelConfig, toy_model: SubstepModel, toy_tokenizer: Tokenizer, tmp_path: Path) -> Path:
    """A complete toy checkpoint, without an EOS head, as the published ones are."""
    save_model(tmp_path, toy_config, toy_model, step=150000, shard_size=40_000)
    toy_tokenizer.save(str(tmp_path / TOKENIZER_FILE))
    random = np.random.default_rng(0)
    action = action_statistics(random.uniform(-0.5, 0.5, (100, 7)), GripperConvention.OPEN_IS_ONE)
    statistics = DatasetStatistics(action, Statistics.of(random.normal(size=(100, 8))), 100, 2)
    save_statistics(tmp_path, "libero_toy_no_noops", statistics)
    return tmp_path


@pytest.fixture
def observation() -> Observation:
    random = np.random.default_rng(1)
    images = {name: random.integers(0, 256, (64, 64, 3), np.uint8) for name in ("agentview", "eye_in_hand")}
    return Observation(images=images, proprio=random.normal(size=8).astype(np.float32))


def add_eos_head(folder: Path, bias: float) -> None:
    """An EOS head that says the same of every action."""
    head = EOSClassificationHead(EOSHeadConfig(), 32)
    torch.nn.init.zeros_(head.model[-1].weight)
    torch.nn.init.constant_(head.model[-1].bias, bias)
    torch.save(head.state_dict(), folder / "eos_head--150000_checkpoint.pt")
    config = json.loads((folder / "config.json").read_text())
    del config["substep"]["eos_head"], config["substep"]["eos"]
    (folder / "config.json").write_text(json.dumps(config))


def test_a_published_checkpoint_is_served(folder: Path, observation: Observation) -> None:
    policy = POLICIES.load(str(folder), SETTINGS)
    assert (policy.device, policy.dtype, policy.requires_scene) == ("cpu", "float32", False)
    policy.start_substep("pick up the bowl", "pick up the bowl")
    chunk = policy.predict(observation)
    assert chunk.actions.shape == (3, 7)
    assert np.abs(chunk.actions).max() <= 1.0
    assert set(chunk.actions[:, -1]) <= {-1.0, 1.0}
    assert chunk.eos_index == NO_EOS


def test_the_chunk_follows_instruction_and_image(folder: Path, observation: Observation) -> None:
    policy = POLICIES.load(str(folder), SETTINGS)
    policy.start_substep("pick up the bowl", "")
    first = policy.predict(observation).actions
    np.testing.assert_array_equal(policy.predict(observation).actions, first)
    mirrored = {name: image[:, ::-1] for name, image in observation.images.items()}
    assert (policy.predict(Observation(mirrored, observation.proprio)).actions != first).any()
    policy.start_substep("the bowl", "")
    assert (policy.predict(observation).actions != first).any()


def test_an_eos_head_cuts_the_chunk(folder: Path, observation: Observation) -> None:
    add_eos_head(folder, bias=5.0)
    policy = POLICIES.load(str(folder), SETTINGS)
    policy.start_substep("pick up the bowl", "")
    chunk = policy.predict(observation)
    assert (chunk.eos_index, len(chunk.actions)) == (0, 1)
    patient = POLICIES.load(str(folder), PolicySettings(device="cpu", eos_threshold=0.999))
    patient.start_substep("pick up the bowl", "")
    assert patient.predict(observation).eos_index == NO_EOS


def test_half_precision_runs(folder: Path, observation: Observation) -> None:
    policy = POLICIES.load(str(folder), PolicySettings(device="cpu", dtype="bfloat16"))
    policy.start_substep("pick up the bowl", "")
    assert policy.dtype == "bfloat16"
    assert policy.predict(observation).actions.shape == (3, 7)


def test_what_cannot_work_is_refused_by_name(folder: Path, observation: Observation) -> None:
    with pytest.raises(ValueError, match="before start_substep"):
        POLICIES.load(str(folder), SETTINGS).predict(observation)
    with pytest.raises(ValueError, match="no eos_head"):
        POLICIES.load(str(folder), PolicySettings(device="cpu", eos_threshold=0.5))
    with pytest.raises(ValueError, match="eye_in_hand"):
        POLICIES.load(str(folder), PolicySettings(device="cpu", cameras=("agentview",)))
    (folder / TOKENIZER_FILE).unlink()
    with pytest.raises(CheckpointError, match="tokenizer.json is missing"):
        POLICIES.load(str(folder), SETTINGS)


def test_statistics_of_another_robot_are_refused(folder: Path) -> None:
    values = Statistics.of(np.random.default_rng(0).normal(size=(10, 7)))
    save_statistics(folder, "other", DatasetStatistics(values, values, 10, 1))
    with pytest.raises(CheckpointError, match="7 proprioception and 7 action values, expected 8 and 7"):
        POLICIES.load(str(folder), SETTINGS)

"""A checkpoint in the published layout, served as a policy."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from substep_core.chunk import NO_EOS
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.observation import Observation
from substep_core.protocol import ChunkRefused, RefusalKind
from substep_policy.checkpoints.folder import CheckpointError
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.eos import EosSource
from substep_policy.heads import EOSClassificationHead, EOSHeadConfig, InSequenceDiffusionConfig, TokenHeadConfig
from substep_policy.memory import TooLargeError
from substep_policy.models.model import EosDetection
from substep_policy.models.normalization import DatasetStatistics, Statistics, save_statistics
from substep_policy.models.openvla.config import OpenVLAConfig
from substep_policy.models.openvla.model import OpenVLAModelConfig
from substep_policy.policy import Asked, one_by_one
from substep_policy.registry import POLICIES, PolicySettings

SETTINGS = PolicySettings(device="cpu")


@pytest.fixture
def folder(toy_config: OpenVLAModelConfig, write_checkpoint: Callable[[OpenVLAModelConfig], Path]) -> Path:
    return write_checkpoint(toy_config)


def add_eos_head(folder: Path, bias: float) -> None:
    """An EOS head that says the same of every action."""
    head = EOSClassificationHead(EOSHeadConfig(), 32, 7)
    torch.nn.init.zeros_(head.model[-1].weight)
    torch.nn.init.constant_(head.model[-1].bias, bias)
    torch.save(head.state_dict(), folder / "eos_head--150000_checkpoint.pt")
    config = json.loads((folder / "config.json").read_text())
    del config["substep"]["eos_head"], config["substep"]["eos"]
    (folder / "config.json").write_text(json.dumps(config))


def test_a_published_checkpoint_is_served(folder: Path, observation: Observation) -> None:
    policy = POLICIES.load(str(folder), SETTINGS)
    assert (policy.device, policy.dtype, policy.requires_scene) == ("cpu", "float32", False)
    assert (policy.robot.name, policy.cameras, policy.horizon) == ("libero_panda", ("agentview", "eye_in_hand"), 3)
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


def test_a_batch_is_answered_as_its_observations_are_alone(folder: Path, observation: Observation) -> None:
    """Whatever the lengths of their prompts."""
    policy = POLICIES.load(str(folder), SETTINGS)
    mirrored = Observation({name: image[:, ::-1] for name, image in observation.images.items()}, observation.proprio)
    texts = ("pick up the bowl", "the bowl", "pick up the bowl and place it on the plate on the table")
    asked = [Asked(seen, text, "") for text in texts for seen in (observation, mirrored)]
    alone = one_by_one(policy, asked)
    assert len({chunk.actions.tobytes() for chunk in alone}) == len(asked)
    for found, expected in zip(policy.predict_batch(asked), alone, strict=True):
        np.testing.assert_allclose(found.actions, expected.actions, rtol=0, atol=1e-5)


def test_in_a_batch_what_cannot_be_seen_is_refused_alone(folder: Path, observation: Observation) -> None:
    policy = POLICIES.load(str(folder), SETTINGS)
    blind = Asked(Observation({}, observation.proprio), "pick up the bowl", "")
    refused, chunk = policy.predict_batch([blind, replace(blind, observation=observation)])
    assert isinstance(refused, ChunkRefused) and refused.reason.kind is RefusalKind.OBSERVATION
    assert chunk.actions.shape == (3, 7)


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
    (folder / TOKENIZER_FILE).unlink()
    with pytest.raises(CheckpointError, match="tokenizer.json is missing"):
        POLICIES.load(str(folder), SETTINGS)


def test_statistics_of_another_robot_are_refused(folder: Path) -> None:
    values = Statistics.of(np.random.default_rng(0).normal(size=(10, 7)))
    save_statistics(folder, "other", DatasetStatistics(values, values, 10, 1))
    with pytest.raises(
        ValueError, match="describes 7 proprio values, expected 8 for robot libero_panda .eef_position 3"
    ):
        POLICIES.load(str(folder), SETTINGS)


def test_several_data_sets_need_a_choice(folder: Path, observation: Observation) -> None:
    path = folder / "dataset_statistics.json"
    (entry,) = json.loads(path.read_text()).values()
    wide = json.loads(json.dumps(entry))
    for bound in ("q01", "q99"):
        wide["action"][bound] = [2 * value for value in wide["action"][bound]]
    path.write_text(json.dumps({"libero_goal": entry, "libero_10": wide}))
    with pytest.raises(ValueError, match="several data sets, .*: choose one of 'libero_10', 'libero_goal' as dataset"):
        POLICIES.load(str(folder), SETTINGS)
    with pytest.raises(ValueError, match="holds statistics of 'libero_10', 'libero_goal', not of 'bridge'"):
        POLICIES.load(str(folder), PolicySettings(device="cpu", dataset="bridge"))
    actions = {}
    for name in ("libero_goal", "libero_10"):
        policy = POLICIES.load(str(folder), PolicySettings(device="cpu", dataset=name))
        policy.start_substep("pick up the bowl", "")
        actions[name] = policy.predict(observation).actions
    assert (actions["libero_goal"] != actions["libero_10"]).any()


def test_a_diffusion_policy_draws_its_chunks_by_seed(
    toy_config: OpenVLAModelConfig, write_checkpoint: Callable, observation: Observation
) -> None:
    head = InSequenceDiffusionConfig(hidden_dim=32, train_steps=8, sampling_steps=4)
    folder = write_checkpoint(dataclasses.replace(toy_config, action_head=head))
    chunks = []
    for seed in (1, 1, 2):
        policy = POLICIES.load(str(folder), PolicySettings(device="cpu", seed=seed))
        policy.start_substep("pick up the bowl", "")
        chunks.append(policy.predict(observation).actions)
    np.testing.assert_array_equal(chunks[0], chunks[1])
    assert (chunks[0] != chunks[2]).any()


def test_the_eos_token_cuts_the_chunk(
    token_openvla: OpenVLAConfig, write_checkpoint: Callable, observation: Observation
) -> None:
    """A threshold that every token reaches ends the substep at the first action; one that none does, never."""
    eos = EosDetection(source=EosSource.TOKEN, threshold=None)
    config = OpenVLAModelConfig(
        robot=load_robot(LIBERO_PANDA), backbone=token_openvla, action_head=TokenHeadConfig(), eos=eos
    )
    folder = write_checkpoint(config)
    assert not list(folder.glob("action_head*"))
    lengths = {}
    for threshold in (0.0, 1.0):
        policy = POLICIES.load(str(folder), PolicySettings(device="cpu", eos_threshold=threshold))
        policy.start_substep("pick up the bowl", "")
        chunk = policy.predict(observation)
        assert chunk.eos_probabilities.shape == (3,)
        lengths[threshold] = len(chunk.actions)
    assert lengths == {0.0: 1, 1.0: 3}


def test_token_eos_of_a_head_without_tokens_is_refused(folder: Path) -> None:
    """An L1 head emits no tokens, so EOS cannot be read from them."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["substep"]["eos"] = {"source": "token", "threshold": None}
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="action head 'l1' offers only head, none: EOS as a token needs"):
        POLICIES.load(str(folder), SETTINGS)


def test_a_device_that_is_too_small_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate 15 GiB")

    monkeypatch.setattr("substep_policy.models.openvla.policy.load_model", full)
    message = f"{folder} in torch.float32 does not fit into the memory of cpu: tried to allocate 15 GiB; take a smaller"
    with pytest.raises(TooLargeError, match=message):
        POLICIES.load(str(folder), SETTINGS)

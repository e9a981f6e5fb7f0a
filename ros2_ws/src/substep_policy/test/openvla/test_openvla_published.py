"""Checkpoint folders in the published layout: written, read, and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_policy.benchmarks.random_models import random_openvla
from substep_policy.checkpoints.folder import INDEX_FILE, CheckpointError
from substep_policy.eos import EosSource
from substep_policy.heads import EOSClassificationHead, EOSHeadConfig, L1HeadConfig
from substep_policy.memory import TooLargeError
from substep_policy.models.model import SubstepModel
from substep_policy.models.openvla.config import PUBLISHED
from substep_policy.models.openvla.model import OpenVLAModelConfig
from substep_policy.models.openvla.published import load_model, save_model
from substep_policy.models.openvla.published_config import read_config

CPU = torch.device("cpu")


@pytest.fixture
def folder(toy_config: OpenVLAModelConfig, toy_model: SubstepModel, tmp_path: Path) -> Path:
    """A toy checkpoint in several shards, as saved at step 150000."""
    save_model(tmp_path, toy_config, toy_model, step=150000, shard_size=40_000)
    return tmp_path


def toy_inputs(config: OpenVLAModelConfig) -> dict[str, Tensor]:
    length = 4 + config.action_slots + 1
    return {
        "pixel_values": torch.randn(1, 2, 6, 56, 56, dtype=torch.float64),
        "proprio": torch.randn(1, 8, dtype=torch.float64),
        "input_ids": torch.ones(1, length, dtype=torch.int64),
        "attention_mask": torch.ones(1, length, dtype=torch.bool),
        "slot_start": torch.tensor([4]),
    }


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def forget(folder: Path, *keys: str) -> None:
    """Leave ``config.json`` without these of this project's own keys, as in a published checkpoint."""
    own = json.loads((folder / "config.json").read_text())["substep"]
    rewrite(folder / "config.json", substep={key: value for key, value in own.items() if key not in keys})


def shard_with(folder: Path, key: str) -> Path:
    return folder / json.loads((folder / INDEX_FILE).read_text())["weight_map"][key]


@torch.inference_mode()
def test_a_saved_model_comes_back_whole(toy_config: OpenVLAModelConfig, toy_model: SubstepModel, folder: Path) -> None:
    config, loaded = load_model(folder, CPU, torch.float64)
    assert config == toy_config
    assert not loaded.training
    batch = toy_inputs(config)
    torch.testing.assert_close(loaded(batch), toy_model(batch), rtol=0, atol=1e-6)


def test_files_and_keys_are_named_as_the_published_ones(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert {"action_head--150000_checkpoint.pt", "proprio_projector--150000_checkpoint.pt"} <= names
    keys = set(json.loads((folder / INDEX_FILE).read_text())["weight_map"])
    assert keys >= {
        "vision_backbone.featurizer.blocks.0.ls1.scale_factor",
        "vision_backbone.fused_featurizer.attn_pool.latent",
        "projector.fc3.weight",
        "language_model.model.layers.1.self_attn.q_proj.weight",
        "language_model.lm_head.weight",
    }
    assert not any("gamma" in key for key in keys)
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 1


def test_a_model_without_an_index_is_one_file(
    toy_config: OpenVLAModelConfig, toy_model: SubstepModel, tmp_path: Path
) -> None:
    save_model(tmp_path, toy_config, toy_model, step=1)
    assert not (tmp_path / INDEX_FILE).exists()
    load_model(tmp_path, CPU, torch.float32)


def test_whoever_may_read_a_checkpoint_may_read_all_of_it(
    toy_config: OpenVLAModelConfig, toy_model: SubstepModel, tmp_path: Path
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    save_model(folder, toy_config, toy_model, step=1, shard_size=40_000)
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_weights_arrive_in_the_dtype_asked_for(folder: Path) -> None:
    _, model = load_model(folder, CPU, torch.bfloat16)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model.backbone.language_model.model.rotary_emb.inv_freq.dtype == torch.float32


def test_an_eos_head_is_loaded_where_there_is_one(
    toy_config: OpenVLAModelConfig, toy_model: SubstepModel, folder: Path
) -> None:
    assert load_model(folder, CPU, torch.float32)[1].eos_head is None
    toy_model.eos_head = EOSClassificationHead(EOSHeadConfig(hidden_dim=48), 32, 7).double()
    torch.save(toy_model.eos_head.state_dict(), folder / "eos_head--150000_checkpoint.pt")
    with pytest.raises(CheckpointError, match="has files of eos_head, which its model does not have"):
        load_model(folder, CPU, torch.float32)
    forget(folder, "eos_head", "eos")
    loaded = load_model(folder, CPU, torch.float64)[1].eos_head
    torch.testing.assert_close(loaded.state_dict(), toy_model.eos_head.state_dict())


def test_the_published_config_describes_the_published_size(tmp_path: Path) -> None:
    """The keys of the published files, in their own words; pixel statistics are theirs, the heads their files'."""
    head = {"model.fc1.weight": torch.zeros(4096, 1)} | {
        f"model.mlp_resnet_blocks.{i}.ffn.1.weight": torch.zeros(1) for i in range(2)
    }
    torch.save(head, tmp_path / "action_head--150000_checkpoint.pt")
    config = {
        "model_type": "openvla",
        "vision_backbone_id": "dinosiglip-vit-so-224px",
        "pad_token_id": 32000,
        "text_config": {"model_type": "llama", "pad_token_id": 32000, "torch_dtype": "bfloat16", "vocab_size": 32064},
    }
    pixels = {"means": [[0.484375, 0.455, 0.406], [0.5] * 3], "stds": [[0.229, 0.224, 0.225], [0.5] * 3]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(pixels))
    model = read_config(tmp_path)
    assert model.action_head == L1HeadConfig(hidden_dim=4096, blocks=2)
    assert model.robot == load_robot(LIBERO_PANDA), "the published ones are LIBERO's"
    assert model.eos.source is EosSource.NONE
    read = model.backbone
    assert not read.film
    assert read.dinov2.mean == (0.484375, 0.455, 0.406)
    assert read.language_model == PUBLISHED.language_model
    assert (read.siglip, read.tokens, read.chunk_length) == (PUBLISHED.siglip, PUBLISHED.tokens, 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llava"}, "model_type is 'llava'"),
        ({"vision_backbone_id": "siglip-vit-so400m"}, "vision_backbone_id is 'siglip-vit-so400m'"),
        ({"text_config": {"model_type": "mistral"}}, "text_config.model_type is 'mistral'"),
        ({"substep": {"chunk": 3}}, "chunk is not a known key"),
        ({"substep": []}, r"substep is \[\], expected an object"),
        ({"substep": {"backbone": 3}}, "backbone is 3, expected an object"),
        ({"substep": {"backbone": {"dinov2": None}}}, "config.json: dinov2 is None, expected an object"),
        ({"text_config": "llama"}, "text_config is 'llama', expected an object"),
        ({"text_config": {"num_hidden_layers": 1_000_000}}, "language_model.layers is 1000000"),
        ({"text_config": {"num_attention_heads": 0}}, "text_config"),
    ],
)
def test_a_foreign_config_is_refused(folder: Path, changes: dict, message: str) -> None:
    rewrite(folder / "config.json", **changes)
    with pytest.raises(CheckpointError, match=message):
        read_config(folder)


@pytest.mark.parametrize("content", ["[]", "3", "[" * 100_000])
def test_files_that_describe_nothing_are_refused(folder: Path, content: str) -> None:
    (folder / "preprocessor_config.json").write_text(content)
    with pytest.raises(CheckpointError, match="preprocessor_config.json"):
        read_config(folder)


def test_a_checkpoint_says_itself_which_robot_it_was_made_for(folder: Path, toy_config: OpenVLAModelConfig) -> None:
    own = json.loads((folder / "config.json").read_text())["substep"]
    rewrite(folder / "config.json", substep=own | {"robot": own["robot"] | {"name": "my_arm", "rate": 30}})
    assert (read_config(folder).robot.name, read_config(folder).robot.rate) == ("my_arm", 30)
    forget(folder, "robot")
    assert read_config(folder) == toy_config


def test_pixel_statistics_of_one_transformer_are_refused(folder: Path) -> None:
    rewrite(folder / "preprocessor_config.json", means=[[0.5] * 3])
    with pytest.raises(CheckpointError, match="one row for DINOv2 and one for SigLIP"):
        read_config(folder)


def test_misfitting_weights_are_named_as_published(folder: Path) -> None:
    key = "vision_backbone.featurizer.blocks.0.ls1.scale_factor"
    path = shard_with(folder, key)
    state = load_file(path)
    save_file(state | {"surplus": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="surplus is unknown"):
        load_model(folder, CPU, torch.float32)
    save_file(state | {key: torch.zeros(5)}, path)
    with pytest.raises(CheckpointError, match=rf"{key} has shape \(5,\), expected \(16,\)"):
        load_model(folder, CPU, torch.float32)
    del state[key]
    save_file(state, path)
    with pytest.raises(CheckpointError, match=f"{key} is missing"):
        load_model(folder, CPU, torch.float32)


def test_sizes_that_the_weights_do_not_have_are_told_before_a_model_is_made(
    folder: Path, toy_config: OpenVLAModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("substep_policy.models.openvla.published.build_openvla")
    content = json.loads((folder / "config.json").read_text())
    width = content["text_config"]["hidden_size"]
    rewrite(folder / "config.json", text_config=content["text_config"] | {"hidden_size": 2**16, "num_hidden_layers": 9})
    message = (
        rf"config.json is not about the weights in .*: text_config.hidden_size is 65536, the weights have {width}; "
    )
    with pytest.raises(CheckpointError, match=f"{message}text_config.num_hidden_layers is 9, the weights have 2$"):
        load_model(folder, CPU, torch.float32)
    vision = content["substep"]["backbone"]["siglip"] | {"width": 64, "mlp_width": 7}
    own = content["substep"] | {"backbone": content["substep"]["backbone"] | {"siglip": vision}}
    rewrite(folder / "config.json", text_config=content["text_config"], substep=own)
    with pytest.raises(CheckpointError, match=r"substep.backbone.siglip.width is 64, .*siglip.mlp_width is 7, the"):
        load_model(folder, CPU, torch.float32)


@pytest.mark.parametrize("name", ["../elsewhere.safetensors", "/etc/passwd", 3])
def test_weights_lie_in_the_folder(folder: Path, name: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"some.weight": name}}))
    with pytest.raises(CheckpointError, match=f"index.json names the file {name!r}, expected one of"):
        load_model(folder, CPU, torch.float32)


def test_a_missing_or_cut_file_is_named(folder: Path) -> None:
    head = folder / "action_head--150000_checkpoint.pt"
    kept = head.rename(folder / "kept")
    with pytest.raises(CheckpointError, match="has no action_head--latest_checkpoint.pt"):
        load_model(folder, CPU, torch.float32)
    kept.rename(head)
    shard = shard_with(folder, "projector.fc1.weight")
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=f"{shard.name} cannot be read"):
        load_model(folder, CPU, torch.float32)
    shard.unlink()
    with pytest.raises(CheckpointError, match=f"{shard.name} is missing"):
        load_model(folder, CPU, torch.float32)


def test_weights_that_do_not_fit_into_memory_are_refused_before_they_are_read(
    toy_config: OpenVLAModelConfig, write_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_checkpoint(toy_config)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    message = rf"{folder}: the weights take .* GB in torch.float32, and 0.0 GB of the computer's memory are free: take"
    with pytest.raises(TooLargeError, match=message):
        load_model(folder, CPU, torch.float32)
    with pytest.raises(TooLargeError, match="a model with random weights: .* memory are free"):
        random_openvla(toy_config, CPU, torch.float32)

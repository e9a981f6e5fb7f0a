"""LoRA adapters in a checkpoint: merged where they are needed, and only there; FiLM's trunk with its own inside."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn

from substep_policy.checkpoints.folder import CheckpointError
from substep_policy.models.kind import UnknownModel, kind_of
from substep_policy.models.model import SubstepModel
from substep_policy.models.openvla.model import OpenVLAModelConfig, build_openvla
from substep_policy.models.openvla.published import load_model, save_model

CPU = torch.device("cpu")
TARGETS = ["q_proj", "up_proj", "fc1", "qkv", "proj"]  # "proj" is the patch embedding's convolution as well


@pytest.fixture
def folder(toy_config: OpenVLAModelConfig, toy_model: SubstepModel, write_checkpoint: Callable) -> Path:
    return write_checkpoint(toy_config, toy_model)


def adapted(backbone: nn.Module, rank: int = 4) -> nn.Module:
    """A copy with random adapters."""
    torch.manual_seed(1)
    config = LoraConfig(r=rank, lora_alpha=16, target_modules=TARGETS, lora_dropout=0.0, init_lora_weights=False)
    return get_peft_model(copy.deepcopy(backbone), config)


def move_weights_to_base(folder: Path) -> Path:
    """The folder keeps its heads; its shards go to a folder of their own."""
    base = folder.parent / f"{folder.name}_base"
    base.mkdir()
    for path in [*folder.glob("model*.safetensors"), folder / "model.safetensors.index.json"]:
        path.rename(base / path.name)
    return base


def write_adapter(folder: Path, peft_model: nn.Module, base: str) -> Path:
    peft_model.peft_config["default"].base_model_name_or_path = base
    peft_model.save_pretrained(folder / "lora_adapter", save_embedding_layers=False)  # else it asks the hub
    return folder / "lora_adapter" / "adapter_model.safetensors"


def same(first: nn.Module, second: nn.Module) -> None:
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=1e-6)


def test_an_adapter_without_weights_beside_it_is_merged_into_its_base(
    folder: Path, toy_model: SubstepModel, caplog: pytest.LogCaptureFixture
) -> None:
    trained = adapted(toy_model.backbone)
    write_adapter(folder, trained, str(move_weights_to_base(folder)))
    with caplog.at_level(logging.INFO, "substep_policy"):
        _, loaded = load_model(folder, CPU, torch.float64)
    assert "merged the adapter" in caplog.text and "rank 4" in caplog.text
    assert not loaded.training
    same(loaded.backbone, trained.merge_and_unload())


@pytest.mark.parametrize("weights", ["adapter_model.safetensors", "adapter_model.bin"])
def test_an_adapter_lies_beside_the_other_files_as_peft_writes_it(
    folder: Path, toy_model: SubstepModel, weights: str
) -> None:
    trained = adapted(toy_model.backbone)
    path = write_adapter(folder, trained, str(move_weights_to_base(folder)))
    for file in path.parent.iterdir():
        file.rename(folder / file.name)
    if weights.endswith(".bin"):
        torch.save(load_file(folder / path.name), folder / weights)
        (folder / path.name).unlink()
    _, loaded = load_model(folder, CPU, torch.float64)
    same(loaded.backbone, trained.merge_and_unload())


def test_an_adapter_without_the_rest_of_its_policy_says_what_it_is(toy_model: SubstepModel, tmp_path: Path) -> None:
    trained = adapted(toy_model.backbone)
    trained.save_pretrained(tmp_path, save_embedding_layers=False)
    with pytest.raises(UnknownModel, match="it holds a LoRA adapter alone: add the config.json"):
        kind_of(tmp_path)


def test_an_adapter_beside_merged_weights_is_not_merged_again(
    folder: Path, toy_model: SubstepModel, caplog: pytest.LogCaptureFixture
) -> None:
    write_adapter(folder, adapted(toy_model.backbone), "somewhere")
    with caplog.at_level(logging.INFO, "substep_policy"):
        _, loaded = load_model(folder, CPU, torch.float64)
    assert "is not applied" in caplog.text
    same(loaded.backbone, toy_model.backbone)


def test_a_misfit_adapter_is_named(folder: Path, toy_model: SubstepModel) -> None:
    path = write_adapter(folder, adapted(toy_model.backbone), str(move_weights_to_base(folder)))
    state = load_file(path)
    key = next(key for key in state if "layers.0" in key and "q_proj.lora_A" in key)
    save_file({name: value for name, value in state.items() if name != key} | {"surplus": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="layers.0.self_attn.q_proj.lora_A.*is missing.*surplus is unknown"):
        load_model(folder, CPU, torch.float32)


def test_an_adapter_whose_base_is_nowhere_is_told(folder: Path, toy_model: SubstepModel) -> None:
    move_weights_to_base(folder)
    write_adapter(folder, adapted(toy_model.backbone), "no/such/base")
    with pytest.raises(ValueError, match="'no/such/base' is no folder here"):
        load_model(folder, CPU, torch.float32)


@pytest.mark.parametrize("rank", [4, 32])
def test_a_trunk_with_film_comes_from_its_own_file_adapters_merged(
    rank: int, toy_config: OpenVLAModelConfig, write_checkpoint: Callable
) -> None:
    """As the published code saves it: blocks with scale and shift around them, LoRA inside, alpha = min(rank, 16)."""
    torch.manual_seed(0)
    config = dataclasses.replace(toy_config, backbone=dataclasses.replace(toy_config.backbone, film=True))
    model = build_openvla(config).double()
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    folder = write_checkpoint(config, model)
    path = folder / "vision_backbone--150000_checkpoint.pt"
    state = torch.load(path)
    assert "vision_backbone.featurizer.blocks.0.scale.weight" in state
    assert "vision_backbone.fused_featurizer.blocks.2.block.attn.qkv.weight" in state
    stem = "vision_backbone.featurizer.blocks.1.block.mlp.fc1"
    down, up = torch.randn(rank, 16, dtype=torch.float64), torch.randn(32, rank, dtype=torch.float64)
    wrapped = {key: value for key, value in state.items() if not key.startswith(stem)}
    wrapped |= {f"{stem}.base_layer.{part}": state[f"{stem}.{part}"] for part in ("weight", "bias")}
    torch.save(wrapped | {f"{stem}.lora_A.default.weight": down, f"{stem}.lora_B.default.weight": up}, path)

    read, loaded = load_model(folder, CPU, torch.float64)
    assert read.backbone.film
    expected = copy.deepcopy(model.state_dict())
    expected["backbone.vision_backbone.featurizer.blocks.1.mlp.fc1.weight"] += min(rank, 16) / rank * up @ down
    torch.testing.assert_close(loaded.state_dict(), expected, rtol=0, atol=1e-5)

    torch.save(wrapped, path)
    del wrapped[f"{stem}.base_layer.bias"]
    torch.save(wrapped, path)
    with pytest.raises(CheckpointError, match=f"vision_backbone: .*{stem}.bias is missing"):
        load_model(folder, CPU, torch.float64)


@pytest.mark.parametrize("excluded", [["lm_head"], r"(.*\.)?lm_head"], ids=["names", "pattern"])
def test_what_an_adapter_leaves_out_stays_left_out_beside_a_trunk_of_its_own(
    excluded: list[str] | str, toy_config: OpenVLAModelConfig, write_checkpoint: Callable
) -> None:
    config = dataclasses.replace(toy_config, backbone=dataclasses.replace(toy_config.backbone, film=True))
    folder = write_checkpoint(config)
    everything = LoraConfig(r=2, target_modules="all-linear", exclude_modules=excluded, init_lora_weights=False)
    base = move_weights_to_base(folder)
    write_adapter(folder, get_peft_model(build_openvla(config).backbone, everything), str(base))
    before = {key: value for shard in base.glob("model-*.safetensors") for key, value in load_file(shard).items()}
    loaded = load_model(folder, CPU, torch.float32)[1].backbone.state_dict()
    shared = [key for key in before if key.startswith("language_model.") and key in loaded]
    changed = {key for key in shared if not torch.allclose(before[key].float(), loaded[key])}
    assert changed and not any("lm_head" in key for key in changed)


def test_film_is_recognised_by_its_file(toy_config: OpenVLAModelConfig, write_checkpoint: Callable) -> None:
    config = dataclasses.replace(toy_config, backbone=dataclasses.replace(toy_config.backbone, film=True))
    folder = write_checkpoint(config)
    content = json.loads((folder / "config.json").read_text())
    del content["substep"]["backbone"]["film"]
    (folder / "config.json").write_text(json.dumps(content))
    assert load_model(folder, CPU, torch.float32)[0] == config
    content["substep"]["backbone"]["film"] = False
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="has files of vision_backbone, which its model does not have"):
        load_model(folder, CPU, torch.float32)


def test_saving_what_was_merged_gives_a_checkpoint_of_its_own(
    folder: Path, toy_model: SubstepModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write_adapter(folder, adapted(toy_model.backbone), str(move_weights_to_base(folder)))
    config, loaded = load_model(folder, CPU, torch.float64)
    out = tmp_path_factory.mktemp("merged")
    save_model(out, config, loaded, step=1)
    same(load_model(out, CPU, torch.float64)[1], loaded)

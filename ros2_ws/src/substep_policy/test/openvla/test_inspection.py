"""``./substep checkpoint inspect``: what it says of whole and of broken checkpoints."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from substep_cli.grammar import main
from substep_policy.checkpoints.folder import CheckpointError
from substep_policy.models.model import SubstepModel
from substep_policy.models.openvla.model import OpenVLAModelConfig
from substep_policy.models.openvla.published import load_model


@pytest.fixture
def folder(toy_config: OpenVLAModelConfig, write_checkpoint: Callable) -> Path:
    return write_checkpoint(toy_config)


@pytest.fixture
def inspect(folder: Path, capsys: pytest.CaptureFixture) -> Callable[[], tuple[int, str]]:
    """Exit code and output of the command on the folder."""

    def run() -> tuple[int, str]:
        code = main(["checkpoint", "inspect", str(folder)])
        captured = capsys.readouterr()
        return code, " ".join((captured.out + captured.err).split())

    return run


def test_a_whole_checkpoint(inspect: Callable) -> None:
    code, text = inspect()
    assert code == 0
    assert "OpenVLA-OFT, chunks of 3 actions, cameras agentview, eye_in_hand, FiLM off" in text
    assert "backbone fits 0.10 M parameters, float64, 0.001 GB in " in text, text
    assert "action_head--150000_checkpoint.pt" in text
    assert "action head l1; EOS: none" in text
    assert "tokenizer fits 15 tokens, the model knows 15" in text
    assert "statistics fits libero_toy_no_noops: 100 steps of 2 demonstrations" in text
    assert "complete: it can be loaded" in text


def test_everything_that_is_missing_or_does_not_fit_is_named_at_once(folder: Path, inspect: Callable) -> None:
    (folder / "proprio_projector--150000_checkpoint.pt").unlink()
    (folder / "tokenizer.json").unlink()
    head = folder / "action_head--150000_checkpoint.pt"
    state = torch.load(head)
    torch.save({key: value for key, value in state.items() if key != "model.fc2.bias"}, head)
    shard = next(folder.glob("model-00002-of-*"))
    shard.unlink()
    code, text = inspect()
    assert code == 1
    assert "has no proprio_projector--latest_checkpoint.pt" in text
    assert f"{folder / 'tokenizer.json'} is missing" in text
    assert "model.fc2.bias is missing" in text
    assert f"{shard.name} is missing" in text
    assert "cannot be loaded: 4 of these do not fit" in text


def test_a_config_of_another_size_is_told_in_one_sentence(folder: Path, inspect: Callable) -> None:
    path = folder / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"text_config": content["text_config"] | {"num_hidden_layers": 32}}))
    code, text = inspect()
    assert code == 1
    assert "backbone MISFIT text_config.num_hidden_layers is 32, the weights have 2 " in text


def test_a_missing_action_head_is_no_discrete_policy(folder: Path, inspect: Callable) -> None:
    path = folder / "config.json"
    content = json.loads(path.read_text())
    del content["substep"]["action_head"]
    path.write_text(json.dumps(content))
    (folder / "action_head--150000_checkpoint.pt").unlink()
    code, text = inspect()
    assert code == 1
    assert '"substep": {"action_head": {"type": "tokens"}}' in text
    assert "proprio_projector a file is there" in text and "action_head no file" in text


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("mean", float("nan"), "action: mean is [nan"),
        ("q01", 9.0, "q01 and q99 of value 0 are 9 and"),
        ("min", 9.0, "min and max of value 0 are 9 and"),
        ("std", "wide", "action: std is no row of numbers"),
    ],
)
def test_statistics_that_are_none_do_not_fit(folder: Path, inspect: Callable, field, value, message: str) -> None:
    path = folder / "dataset_statistics.json"
    content = json.loads(path.read_text())
    content["libero_toy_no_noops"]["action"][field][0] = value
    path.write_text(json.dumps(content))
    code, text = inspect()
    assert code == 1 and message in text, text


def test_several_data_sets_are_listed(folder: Path, inspect: Callable) -> None:
    path = folder / "dataset_statistics.json"
    (entry,) = json.loads(path.read_text()).values()
    path.write_text(json.dumps({"one": entry, "two": entry}))
    code, text = inspect()
    assert code == 0
    assert "one: 100 steps" in text and "two: 100 steps" in text
    assert "choose one with the parameter dataset" in text


def test_what_is_no_checkpoint(folder: Path, inspect: Callable) -> None:
    (folder / "config.json").write_text('{"model_type": "llava"}')
    code, text = inspect()
    assert (code, "config.json has model_type 'llava', expected one of compact" in text) == (1, True), text
    (folder / "config.json").unlink()
    text = inspect()[1]
    assert "is no checkpoint: it has no config.json" in text, text
    shutil.rmtree(folder)
    assert "is no folder" in inspect()[1]


@pytest.fixture
def adapter(folder: Path, toy_model: SubstepModel) -> Path:
    """The weights of an adapter, in a folder that has no others; they are in a base."""
    base = folder / "base"
    base.mkdir()
    for path in folder.glob("model*.safetensors*"):
        path.rename(base / path.name)
    config = LoraConfig(r=4, target_modules=["q_proj", "fc1"], init_lora_weights=False)
    adapted = get_peft_model(copy.deepcopy(toy_model.backbone), config)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(folder / "lora_adapter", save_embedding_layers=False)
    return folder / "lora_adapter" / "adapter_model.safetensors"


def refused(folder: Path, text: str) -> None:
    """Loading stops for the reason that inspection gave."""
    with pytest.raises(CheckpointError) as error:
        load_model(folder, torch.device("cpu"), torch.float32)
    assert str(error.value) in text.replace("lora_adapter MISFIT ", "")


def test_an_adapter_that_is_merged_at_load_is_looked_at(folder: Path, adapter: Path, inspect: Callable) -> None:
    weights = load_file(adapter)
    count = sum(value.numel() for value in weights.values())
    code, text = inspect()
    assert code == 0, text
    assert f"lora_adapter fits {count / 1e6:.2f} M parameters, merged at load into the weights of {folder}/base" in text
    key = next(key for key in weights if "layers.1.self_attn.q_proj.lora_B" in key)
    save_file(weights | {key: torch.zeros(32, 3)}, adapter)
    code, text = inspect()
    assert (code, f"{key} has shape (32, 3), expected (32, 4)" in text) == (1, True), text
    refused(folder, text)
    del weights[key]
    save_file(weights, adapter)
    code, text = inspect()
    assert (code, f"{key} is missing" in text) == (1, True), text
    refused(folder, text)
    adapter.write_bytes(adapter.read_bytes()[:50])
    assert "adapter_model.safetensors cannot be read" in inspect()[1]
    adapter.unlink()
    code, text = inspect()
    assert (code, f"{adapter} is missing" in text) == (1, True), text
    refused(folder, text)


def test_an_adapter_to_layers_that_are_not_there_is_named(folder: Path, adapter: Path, inspect: Callable) -> None:
    path = adapter.with_name("adapter_config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"target_modules": ["w_proj"]}))
    code, text = inspect()
    assert code == 1
    assert f"lora_adapter MISFIT {path}: Target modules" in text and "w_proj" in text
    refused(folder, text)


def test_film_layers_without_the_trunk_they_belong_to_are_named(folder: Path, inspect: Callable) -> None:
    (folder / "film--150000_checkpoint.pt").touch()
    config = folder / "config.json"
    content = json.loads(config.read_text())
    content["substep"]["backbone"]["film"] = True
    config.write_text(json.dumps(content))
    code, text = inspect()
    assert code == 1
    assert "film--150000_checkpoint.pt holds FiLM layers without their trunk" in text
    assert "no lora_adapter/adapter_config.json" in text and "cannot be loaded: 1 of these do not fit" in text
    refused(folder, text)


def test_a_tokenizer_of_another_model_is_named(folder: Path, toy_tokenizer: Tokenizer, inspect: Callable) -> None:
    words = toy_tokenizer.get_vocab()
    bare = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    bare.save(str(folder / "tokenizer.json"))
    code, text = inspect()
    assert (code, "not with BOS 1: is it a Llama's?" in text) == (1, True), text
    assert "tokenizer MISFIT" in text and "cannot be loaded: 1 of these do not fit" in text
    large = Tokenizer(models.WordLevel(words | {"onion": 15}, unk_token="<unk>"))
    large.post_processor = toy_tokenizer.post_processor
    large.save(str(folder / "tokenizer.json"))
    code, text = inspect()
    assert (code, "ids up to 15, and the embedding has 15 rows" in text) == (1, True), text


def test_parts_of_different_steps_are_named(folder: Path, inspect: Callable) -> None:
    head = folder / "action_head--150000_checkpoint.pt"
    shutil.copy(head, folder / "action_head--160000_checkpoint.pt")
    code, text = inspect()
    assert code == 1
    files = "action_head--160000_checkpoint.pt, proprio_projector--150000_checkpoint.pt"
    assert f"different steps: {files}" in text and "cannot be loaded: 1 of these do not fit" in text
    with pytest.raises(CheckpointError, match=f"different steps: {files}"):
        load_model(folder, torch.device("cpu"), torch.float32)
    (folder / "action_head--160000_checkpoint.pt").rename(folder / "action_head--latest_checkpoint.pt")
    assert inspect()[0] == 0

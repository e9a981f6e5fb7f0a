"""``./substep policy inspect``: what it says of whole and of broken checkpoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from substep_policy.openvla_model import OpenVLAModelConfig
from substep_policy.policy_cli import main


@pytest.fixture
def folder(toy_config: OpenVLAModelConfig, write_checkpoint: Callable) -> Path:
    return write_checkpoint(toy_config)


@pytest.fixture
def inspect(folder: Path, capsys: pytest.CaptureFixture) -> Callable[[], tuple[int, str]]:
    """Exit code and output of the command on the folder."""

    def run() -> tuple[int, str]:
        code = main(["inspect", str(folder)])
        captured = capsys.readouterr()
        return code, " ".join((captured.out + captured.err).split())

    return run


def test_a_whole_checkpoint(inspect: Callable) -> None:
    code, text = inspect()
    assert code == 0
    assert "OpenVLA-OFT, chunks of 3 actions, cameras agentview, eye_in_hand, FiLM off" in text
    assert "backbone fits 0.08 M parameters, float64, 0.001 GB in " in text, text
    assert "action_head--150000_checkpoint.pt" in text
    assert "action head l1; EOS: none" in text
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
    assert (code, "model_type is 'llava', expected one of compact, openvla" in text) == (1, True)
    (folder / "config.json").unlink()
    assert "config.json is missing" in inspect()[1]
    shutil.rmtree(folder)
    assert "is no folder here, and no hub id" in inspect()[1]

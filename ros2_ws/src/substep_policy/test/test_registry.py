"""Policies by name, folder and hub id."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from types import MappingProxyType, SimpleNamespace

import pytest

from substep_policy.registry import POLICIES, PolicyError, PolicyRegistry, PolicySettings

SETTINGS = PolicySettings(seed=3)


def load_named(settings):
    return SimpleNamespace(name="named", settings=settings)


def load_checkpoint(folder, config, settings):
    return SimpleNamespace(name=f"{folder.name}:{config['steps']}", settings=settings)


REGISTRY = PolicyRegistry(
    MappingProxyType({"one": f"{__name__}:load_named", "two": "no.such.module:load"}),
    MappingProxyType({"tiny": f"{__name__}:load_checkpoint"}),
)


def test_a_named_policy_gets_the_settings():
    assert REGISTRY.load("one", SETTINGS).settings is SETTINGS


def test_a_checkpoint_folder_is_loaded_by_its_model_type(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "tiny", "steps": 5}))
    assert REGISTRY.load(str(tmp_path), SETTINGS).name == f"{tmp_path.name}:5"


def test_the_name_of_a_checkpoint_that_ships_stands_for_its_folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "tiny", "steps": 5}))
    registry = PolicyRegistry(MappingProxyType({"one": tmp_path, "two": "no.such.module:load"}), REGISTRY.checkpoints)
    assert registry.load("one", SETTINGS).name == f"{tmp_path.name}:5"
    assert registry.folder("one") == registry.folder(str(tmp_path)) == tmp_path
    with pytest.raises(PolicyError, match="policy 'two' has no checkpoint, it is a program: no.such.module:load"):
        registry.folder("two")


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(PolicyError, match="unknown policy 'three': expected one of 'one', 'two', the folder of"):
        REGISTRY.load("three", SETTINGS)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "is no checkpoint: it has no config.json"),
        ("{", "config.json is not JSON"),
        ("[]", "holds a JSON list, expected an object with a model_type"),
        ('{"model_type": "huge"}', "has model_type 'huge', expected one of 'tiny'"),
        ("{}", "has model_type None, expected one of 'tiny'"),
    ],
)
def test_a_folder_that_is_no_checkpoint_says_why(tmp_path, content, expected):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(PolicyError, match=expected):
        REGISTRY.load(str(tmp_path), SETTINGS)


def test_a_hub_id_that_cannot_be_had_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PolicyError, match="'nobody/nothing' is no folder here and could not be had from the hub"):
        REGISTRY.load("nobody/nothing", SETTINGS)


@pytest.mark.parametrize("name", POLICIES.named)
def test_what_ships_loads_by_its_name(name: str):
    assert POLICIES.load(name, PolicySettings(device="cpu")).name.startswith(name)


def test_the_registry_imports_no_model():
    code = "import sys, substep_policy.registry; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("device", "gpu", "device is 'gpu', expected 'auto', 'cpu', 'cuda' or 'cuda:N'"),
        ("dtype", "int3", "dtype is 'int3', expected one of auto, float32, bfloat16, float16"),
        ("seed", -1, "seed is -1, expected 0 or more"),
        ("eos_threshold", 1.5, "EOS threshold is 1.5, expected a probability"),
        ("eos_threshold", math.nan, "EOS threshold is nan, expected a probability"),
    ],
)
def test_bad_settings_are_named(field, value, expected):
    with pytest.raises(ValueError, match=expected):
        PolicySettings(**{field: value})

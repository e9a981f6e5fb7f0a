"""Policies by name, folder and hub id."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from types import SimpleNamespace

import pytest

from substep_core.registry import Registry
from substep_policy.models.kind import ModelKind, UnknownModel
from substep_policy.registry import POLICIES, PolicyError, PolicyRegistry, PolicySettings

SETTINGS = PolicySettings(seed=3)


def load_named(settings):
    return SimpleNamespace(name="named", settings=settings)


def load_checkpoint(folder, settings):
    steps = json.loads((folder / "config.json").read_text())["steps"]
    return SimpleNamespace(name=f"{folder.name}:{steps}", settings=settings)


TINY = ModelKind(config=dict, read_config=dict, policy=load_checkpoint, inspect=str)
KINDS = Registry("model kind", "", {"tiny": TINY})


REGISTRY = PolicyRegistry(
    Registry("policy", "", {"one": load_named}),
    KINDS,
)


def test_a_named_policy_gets_the_settings():
    assert REGISTRY.load("one", SETTINGS).settings is SETTINGS


def test_a_checkpoint_folder_is_loaded_by_its_model_type(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "tiny", "steps": 5}))
    assert REGISTRY.load(str(tmp_path), SETTINGS).name == f"{tmp_path.name}:5"


def test_the_name_of_a_checkpoint_that_ships_stands_for_its_folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "tiny", "steps": 5}))
    registry = PolicyRegistry(Registry("policy", "", {"one": tmp_path, "two": load_named}), KINDS)
    assert registry.load("one", SETTINGS).name == f"{tmp_path.name}:5"
    assert registry.folder("one") == registry.folder(str(tmp_path)) == tmp_path
    with pytest.raises(PolicyError, match="policy 'two' has no checkpoint, it is a program of "):
        registry.folder("two")


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(PolicyError, match="unknown policy 'three': expected one of one .given here., the folder of"):
        REGISTRY.load("three", SETTINGS)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "is no checkpoint: it has no config.json"),
        ("{", "config.json is not JSON"),
        ('{"model_type": ' + "9" * 5000 + "}", "config.json is not JSON"),
        ("[]", "holds a JSON list, expected an object"),
        ('{"model_type": "huge"}', "has model_type 'huge', expected one of tiny .given here."),
        ("{}", "has model_type None, expected one of tiny"),
    ],
)
def test_a_folder_that_is_no_checkpoint_says_why(tmp_path, content, expected):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UnknownModel, match=expected):
        REGISTRY.load(str(tmp_path), SETTINGS)


@pytest.mark.parametrize(
    ("suite", "asked", "expected"),
    [
        ("libero_spatial", None, "libero_spatial_no_noops"),
        ("libero_10_no_noops", None, "libero_10"),
        ("libero_spatial", "libero_10", "libero_10"),
        ("kitchens", None, None),
    ],
)
def test_the_suite_that_is_run_chooses_among_several_data_sets(tmp_path, caplog, suite, asked, expected):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "tiny", "steps": 5}))
    (tmp_path / "dataset_statistics.json").write_text(json.dumps({"libero_spatial_no_noops": {}, "libero_10": {}}))
    with caplog.at_level("INFO"):
        settings = REGISTRY.settings_for(str(tmp_path), PolicySettings(dataset=asked), suite)
    assert settings.dataset == expected
    assert ("as suite" in caplog.text) == (asked is None and expected is not None), "what was chosen is said"
    assert REGISTRY.settings_for("one", SETTINGS, suite) is SETTINGS


@pytest.mark.parametrize("name", ["runs/compct", "./compct", "/nowhere/compct", "runs/compct/", "a/b/c"])
def test_a_mistyped_folder_is_no_hub_id(name: str, monkeypatch, tmp_path):
    (tmp_path / "runs" / "compact").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PolicyError, match="is no folder"):
        POLICIES.check(name)
    if name == "runs/compct":
        with pytest.raises(PolicyError, match="'runs/compct' is no folder: runs/compact is"):
            POLICIES.check(name)


def test_a_hub_id_that_cannot_be_had_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PolicyError, match="'nobody/nothing' is no folder here and could not be had from the hub"):
        REGISTRY.load("nobody/nothing", SETTINGS)


@pytest.mark.parametrize("name", ("compact", "demonstrator"))
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

"""Action tokenizers fitted to a policy's data, and policies that predict their codes."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from substep_cli.grammar import main
from substep_policy.action_tokenizers.folder import load_tokenizer
from substep_policy.benchmarks.random_models import random_observation
from substep_policy.checkpoints.folder import CheckpointError
from substep_policy.checkpoints.plain import export_model
from substep_policy.eos import EosSource
from substep_policy.models.compact.checkpoints import CHECKPOINTS
from substep_policy.registry import POLICIES, PolicySettings
from tests.training.checkpoints import assert_same, weights
from tests.training.toy import ToyDemo
from training.action_tokenizer import replay, rfsq
from training.train.config import FinetuneConfig
from training.train.finetune_substep import finetune, start, train_step

CODES = ["--network.width", "8", "--network.latents", "4", "--network.layers", "3", "--optimizer.batch-size", "8"]
DRAFT = "draft: {hidden_dim: 8}"
PARTS = ("token_head", "action_tokenizer", "draft_head")


def fit(tmp_path: Path, type: str, *options: str, out: str = "tokenizer") -> int:
    """``./substep train action-tokenizer`` on the data of a toy run."""
    command = ["train", "action-tokenizer", str(tmp_path / "config.yaml"), "--type", type]
    return main([*command, "--out", str(tmp_path / out), *options])


@pytest.fixture
def codes_run(toy_run, tmp_path: Path) -> Callable[..., FinetuneConfig]:
    """``codes_run("coarse_to_fine", …)``: a run whose head predicts the codes of a tokenizer fitted to its data."""
    toy_run()
    assert fit(tmp_path, "rfsq", *CODES, "--steps", "5") == 0

    def configure(order: str, *overrides: str, head: str = "layers: 2") -> FinetuneConfig:
        fields = f"action_tokenizer: {tmp_path / 'tokenizer'}, hidden_dim: 16, chain_dim: 8, {head}"
        return toy_run(f"model.action_head={{type: rfsq_{order}, {fields}}}", *overrides)

    return configure


def test_tokenizers_are_fitted_to_a_policys_data_and_measured_in_its_units(toy_run, tmp_path: Path, capsys):
    toy_run()
    assert fit(tmp_path, "rfsq", *CODES, "--steps", "5", "--model.chunk-length", "6") == 0
    text = capsys.readouterr().out
    assert "translation, mm" in text and "rotation, °" in text and "layer 3: " in text
    report = json.loads((tmp_path / "tokenizer/report.json").read_text())
    assert [row["name"] for row in report["rows"]] == ["rfsq, 1 layers", "rfsq, 2 layers", "rfsq, 3 layers"]
    assert report["rows"][1]["bits"] == pytest.approx(2 * 6 * 4 * np.log2(7))
    assert report["chunks"] == "36 held-out chunks of 6 actions"
    assert fit(tmp_path, "fast", "--scale", "20", out="fast") == 0
    assert "% of the coefficients lie outside of the fitted range and are cut off" in capsys.readouterr().out
    report = json.loads((tmp_path / "fast/report.json").read_text())
    assert report["rows"][0]["bits"] < report["published_bins"]["bits"] and 0 <= report["clipped"] < 0.2
    errors = {error["group"]: error for error in report["rows"][0]["groups"]}
    # Coefficients rounded to steps of 1/20 are off by 1/(20·√12) a value, of commands of 50 mm a unit.
    span = np.subtract(
        load_tokenizer(tmp_path / "fast").config.space.high, load_tokenizer(tmp_path / "fast").config.space.low
    )
    expected = np.linalg.norm(span[:3] / 2 / 20 / np.sqrt(12)) * 50
    assert errors["translation"]["unit"] == "mm" and errors["translation"]["mean"] == pytest.approx(expected, rel=0.25)
    assert load_tokenizer(tmp_path / "fast").config.space.chunk_length == 4


def test_a_fitting_that_is_stopped_goes_on_as_if_it_had_not_been(toy_run, tmp_path: Path, monkeypatch, capsys):
    toy_run()
    options = [*CODES, "--steps", "6", "--save-every", "2"]
    assert fit(tmp_path, "rfsq", *options, out="whole") == 0
    update = rfsq.RfsqRun._update

    def stopped(run) -> float:
        if run.step == 5:
            raise KeyboardInterrupt
        return update(run)

    monkeypatch.setattr(rfsq.RfsqRun, "_update", stopped)
    assert fit(tmp_path, "rfsq", *options) == 130
    monkeypatch.undo()
    assert fit(tmp_path, "rfsq", *options) == 0
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "tokenizer"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert fit(tmp_path, "rfsq", *options, "--seed", "1") == 2
    assert "is of another fitting (config differ)" in capsys.readouterr().err


@pytest.mark.parametrize("order", ["parallel", "coarse_to_fine"])
def test_a_policy_of_codes_is_trained_resumed_and_carries_its_tokenizer(codes_run, tmp_path: Path, order: str, capsys):
    config = codes_run(order, head="layers: 2" if order == "parallel" else f"layers: 2, {DRAFT}")
    folder = finetune(config)
    assert "held_out/accuracy_layer_2" in (tmp_path / "run/train.log").read_text()
    whole = weights(folder)
    assert {name.partition(":")[0] for name in whole} >= {*PARTS} - ({"draft_head"} if order == "parallel" else set())
    shutil.rmtree(tmp_path / "tokenizer")  # a checkpoint needs it no more
    shutil.rmtree(folder)
    assert finetune(config) == folder, "from the checkpoint before it"
    assert_same(whole, weights(folder))
    policy = POLICIES.load(str(folder), PolicySettings(device="cpu"))
    policy.start_substep("pick up the bowl", "")
    chunk = policy.predict(random_observation(policy.robot, policy.cameras, 16))
    assert len(np.unique(chunk.actions[:, :6], axis=0)) == len(chunk.actions)
    assert main(["bench", "speculative", "--checkpoint", str(folder), "--chunks", "3"]) == (
        2 if order == "parallel" else 0
    )
    printed = capsys.readouterr()
    if order == "parallel":
        assert f"{folder} has no draft" in printed.err
    else:
        codes = 3 * 4 * 4 * 2  # chunks, actions, latents, layers
        assert f"0 of {codes} codes differ" in printed.out and "accepted by layer" in printed.out
        for way in ("speculative", "parallel head of the same sizes"):
            assert re.search(rf"{way} .* times as fast \(\d+\.\d\d to \d+\.\d\d\)", printed.out), way


@pytest.mark.parametrize("order", ["parallel", "coarse_to_fine"])
def test_eos_is_one_more_code(codes_run, order: str):
    config = codes_run(order, "model.eos_head=null", "eos={mode: none}", "model.eos.source=token")
    folder = finetune(config)
    assert CHECKPOINTS.read_config(folder).eos.source is EosSource.TOKEN
    policy = POLICIES.load(str(folder), PolicySettings(device="cpu"))
    policy.start_substep("pick up the bowl", "")
    chunk = policy.predict(random_observation(policy.robot, policy.cameras, 16))
    assert len(chunk.eos_probabilities) == 4


def test_codes_of_other_commands_are_not_learned(codes_run):
    with pytest.raises(ValueError, match=r"was fitted to actions whose low bound .* with the same data.action_bounds"):
        start(codes_run("parallel", "data.action_bounds=limits"))


def test_a_new_head_begins_on_a_backbone_that_is_there(toy_run, codes_run, tmp_path: Path, caplog):
    l1 = finetune(toy_run("steps=1", f"out={tmp_path / 'l1'}"))
    with caplog.at_level(logging.WARNING):
        run = start(codes_run("parallel", f"initial_checkpoint={l1}"))
    assert f"{l1} has no token_head: it starts from random weights" in caplog.text
    assert_same(load_file(l1 / "model.safetensors"), run.objective.model.backbone.state_dict())
    fitted = load_file(tmp_path / "tokenizer/model.safetensors")
    assert_same(fitted, run.objective.model.action_tokenizer.state_dict())
    train_step(run, [run.stream.batch(0)])
    assert_same(fitted, run.objective.model.action_tokenizer.state_dict())


def test_heads_of_several_kinds_begin_anew_on_one_backbone(toy_run, codes_run, tmp_path: Path):
    initial = finetune(toy_run("steps=1", f"out={tmp_path / 'initial'}"))
    new = f"initial_checkpoint={initial}", "new_heads=true"
    l1, codes = toy_run(*new, "steps=2", "save_every=1", f"out={tmp_path / 'l1'}"), codes_run("coarse_to_fine", *new)
    models = [start(config).objective.model for config in (l1, codes)]
    for model in models:
        assert_same(load_file(initial / "model.safetensors"), model.backbone.state_dict())
    old = weights(initial)
    begun = {f"action_head:{name}": value for name, value in models[0].action_head.state_dict().items()}
    assert begun and set(begun) <= set(old) and not [name for name in begun if torch.equal(begun[name], old[name])]
    assert_same(load_file(tmp_path / "tokenizer/model.safetensors"), models[1].action_tokenizer.state_dict())
    folder = finetune(l1)
    whole = weights(folder)
    shutil.rmtree(folder)
    assert_same(whole, weights(finetune(l1))), "a run that goes on keeps its heads"
    other = start(toy_run(*new, "model.action_head={type: diffusion}", f"out={tmp_path / 'diffusion'}")).objective.model
    assert_same(load_file(initial / "model.safetensors"), other.backbone.state_dict())
    with pytest.raises(ValueError, match="new_heads is true, but there is no initial_checkpoint"):
        toy_run("new_heads=true")


def test_an_exported_policy_keeps_its_tokenizer_exact(codes_run, tmp_path: Path):
    config, model = CHECKPOINTS.load(finetune(codes_run("parallel", "steps=1")))
    export_model(tmp_path / "exported", config, model)
    _, exported = CHECKPOINTS.load(tmp_path / "exported")
    assert_same(model.action_tokenizer.state_dict(), exported.action_tokenizer.state_dict())


def test_a_run_without_a_fitted_tokenizer_does_not_begin(codes_run, tmp_path: Path, capsys):
    folder = tmp_path / "tokenizer"
    config = codes_run("parallel")
    (folder / "model.safetensors").rename(tmp_path / "hidden")
    with pytest.raises(CheckpointError, match=f"{folder}/model.safetensors is missing"):
        start(config)
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match=f"{folder} is no action tokenizer: {folder}/config.json is missing"):
        codes_run("parallel")
    assert fit(tmp_path, "fast", out="tokenizer") == 0
    with pytest.raises(ValueError, match=f"{folder} holds an action tokenizer of type 'fast', expected 'rfsq'"):
        codes_run("parallel")


def test_a_checkpoint_with_a_broken_part_is_refused_and_named(codes_run, capsys):
    config = codes_run("coarse_to_fine", "steps=2", head=f"layers: 2, {DRAFT}")
    folder = finetune(config)
    for part in PARTS:
        path = folder / f"{part}--2_checkpoint.pt"
        content = path.read_bytes()
        state = torch.load(path, weights_only=True)
        for damage in ("cut", "other shape", "missing"):
            if damage == "cut":
                path.write_bytes(content[:200])
            elif damage == "other shape":
                torch.save({key: value[..., :1] for key, value in state.items()}, path)
            else:
                path.unlink()
            with pytest.raises(CheckpointError) as caught:
                POLICIES.load(str(folder), PolicySettings(device="cpu"))
            assert str(folder) in str(caught.value) and part in str(caught.value), damage
            assert main(["checkpoint", "inspect", str(folder)]) == 1
            assert f"  {part:<24}MISFIT" in capsys.readouterr().out
        with pytest.raises(CheckpointError, match=f"has no {part}--latest"):
            start(replace(config, steps=4))
        path.write_bytes(content)
    POLICIES.load(str(folder), PolicySettings(device="cpu"))


class RecordedWorld:
    """A recording whose task is done when all that was carried out is within ``tolerance`` of what was recorded."""

    def __init__(self, actions: np.ndarray, tolerance: float) -> None:
        self.actions, self.tolerance, self.carried_out = actions, tolerance, []

    def restart(self, config) -> RecordedWorld:
        return self

    def step(self, action: np.ndarray) -> None:
        self.carried_out.append(action)

    @property
    def success(self) -> bool:
        if len(self.carried_out) < len(self.actions):
            return False
        return bool(np.abs(np.stack(self.carried_out) - self.actions).max() < self.tolerance)


def test_recordings_are_replayed_through_a_tokenizer_for_every_number_of_layers(
    toy_run, tmp_path: Path, monkeypatch, capsys
):
    toy_run("data.action_bounds=limits")
    limits = ["--data.action-bounds", "limits"]
    assert fit(tmp_path, "fast", "--scale", "100", *limits, out="fine") == 0
    assert fit(tmp_path, "rfsq", *CODES, "--steps", "2", *limits, out="untrained") == 0
    worlds = []

    def read_recorded(file: Path, demo: str) -> RecordedWorld:
        assert file.name == "put_the_bowl_on_the_plate_demo.hdf5"
        worlds.append(RecordedWorld(ToyDemo(18, int(demo.removeprefix("demo_"))).actions, 0.05))
        return worlds[-1]

    def command(tokenizer: str) -> list[str]:
        words = ["bench", "action-tokenizer", str(tmp_path / tokenizer), "--demonstrations", str(tmp_path / "demos")]
        return [*words, "--per-task", "2", "--out", str(tmp_path / f"replays of {tokenizer}")]

    monkeypatch.setattr(replay, "read_recorded", read_recorded)
    capsys.readouterr()
    assert main(command("fine")) == 0
    text = capsys.readouterr().out
    assert "2 of 2 recordings succeed" in text and "1 layers: 2 (100%; 34% to 100%)" in text
    assert len(worlds) == 4 and all(len(world.carried_out) == 18 for world in worlds)
    assert main(command("fine")) == 0 and len(worlds) == 4, "each is made once"
    assert capsys.readouterr().out == text
    assert main([*command("untrained"), "--layers", "1", "3"]) == 0
    text = capsys.readouterr().out
    assert "2 of 2 recordings succeed" in text and "1 layers: 0 (0%; 0% to 66%)" in text and "3 layers: 0 (0%; " in text
    assert main([*command("untrained"), "--layers", "9"]) == 2
    assert "layers are [9], the tokenizer in" in capsys.readouterr().err

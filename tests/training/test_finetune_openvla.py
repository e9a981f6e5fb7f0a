"""OpenVLA-OFT through the same loop at toy size: LoRA and whole weights, resuming, merging, several processes."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from safetensors.torch import load_file

from substep_cli.grammar import main
from substep_core import hub
from substep_core.configuration import dump
from substep_policy.benchmarks.random_models import random_observation, toy_model, write_random_openvla
from substep_policy.checkpoints.folder import CheckpointError
from substep_policy.eos import EosSource
from substep_policy.models.model import EosDetection
from substep_policy.models.openvla.model import NO_EOS_DETECTION
from substep_policy.models.openvla.published import load_model
from substep_policy.models.openvla.published_config import read_config as read_openvla_config
from substep_policy.registry import POLICIES, PolicySettings
from tests.training.checkpoints import assert_same, weights
from tests.training.conftest import large_runs
from tests.training.toy import ROBOT, SIZE
from training.train import finetune_substep, run_state
from training.train.config import FinetuneConfig
from training.train.finetune_substep import finetune, start, train, train_step

LORA = "lora={rank: 4, base_dtype: float32}"
BUFFER = "eos={mode: buffer, buffer: {min_negative: 4, sample_negative: 4, min_positive: 1, sample_positive: 1}}"
MODES = {
    "direct": [LORA],
    "buffer": [LORA, BUFFER],
    "bf16": ["lora={rank: 4}", "mixed_precision=bf16"],
    "all weights": [],
    "film": [LORA, "model.backbone.film=true"],
    "film, bf16": ["lora={rank: 4}", "mixed_precision=bf16", "model.backbone.film=true"],
    "film, all weights": ["model.backbone.film=true"],
}


def openvla_runs(folder: Path) -> Callable[..., FinetuneConfig]:
    """``openvla_runs(folder)("steps=3", …)``: the configuration of a run on four short demonstrations.

    It begins with ``folder/base``, a checkpoint as the published ones are: an L1 head, and no EOS head.
    """
    base = folder / "base"
    base.mkdir()
    write_random_openvla(base, dataclasses.replace(toy_model(ROBOT), eos_head=None, eos=NO_EOS_DETECTION))
    return large_runs(folder, dump(toy_model(ROBOT)), initial_checkpoint=str(base), steps=4, save_every=2)


@pytest.fixture
def openvla_run(tmp_path: Path) -> Callable[..., FinetuneConfig]:
    return openvla_runs(tmp_path)


@pytest.fixture
def base(openvla_run, tmp_path: Path) -> Path:
    return tmp_path / "base"


def first_action(folder: Path) -> np.ndarray:
    """(7,) the first of the chunk, which EOS never cuts off."""
    policy = POLICIES.load(str(folder), PolicySettings(device="cpu"))
    policy.start_substep("pick up the bowl", "")
    return policy.predict(random_observation(policy.robot, policy.cameras, SIZE)).actions[0]


def test_lora_leaves_adapters_and_heads_that_merge_into_the_same_policy(
    openvla_run, base: Path, tmp_path: Path, caplog
):
    caplog.set_level("INFO", "training")
    checkpoint = finetune(openvla_run(LORA, "data.held_out_every=2"))
    assert f"{base} has no eos_head: it starts from random weights" in caplog.text
    names = {path.name for path in checkpoint.iterdir()}
    assert {"lora_adapter", "eos_head--4_checkpoint.pt", "action_head--4_checkpoint.pt", "calibration.json"} <= names
    assert not [name for name in names if name.startswith("model")], "the frozen weights are not written again"
    assert read_openvla_config(checkpoint).eos.calibrated
    settings = json.loads((checkpoint / "lora_adapter/adapter_config.json").read_text())
    assert (settings["r"], settings["base_model_name_or_path"]) == (4, str(base))

    merged = tmp_path / "merged"
    assert main(["checkpoint", "export", str(checkpoint), "--out", str(merged)]) == 0
    assert not (merged / "lora_adapter").exists() and (merged / "model.safetensors").exists()
    before, after = load_model(base, *CPU)[1].state_dict(), load_model(merged, *CPU)[1].state_dict()
    changed = {key for key in before if not torch.allclose(before[key].bfloat16().float(), after[key].float())}
    assert "backbone.language_model.model.layers.0.mlp.up_proj.weight" in changed
    assert "backbone.vision_backbone.featurizer.blocks.0.attn.qkv.weight" in changed
    assert "backbone.language_model.lm_head.weight" not in changed
    assert "backbone.language_model.model.embed_tokens.weight" not in changed
    np.testing.assert_allclose(first_action(merged), first_action(checkpoint), atol=0.03)  # exported in bfloat16
    assert np.abs(first_action(checkpoint) - first_action(base)).max() > 0.05


CPU = (torch.device("cpu"), torch.float32)


def test_a_head_of_codes_begins_on_a_published_backbone_and_its_tokenizer_stays_exact(openvla_run, tmp_path: Path):
    openvla_run()
    tokenizer = tmp_path / "action_tokenizer"
    sizes = ["--steps", "2", "--network.width", "8", "--network.latents", "4", "--optimizer.batch-size", "4"]
    command = ["train", "action-tokenizer", str(tmp_path / "large.yaml"), "--type", "rfsq", "--out", str(tokenizer)]
    assert main([*command, *sizes]) == 0
    fields = f"type: rfsq_coarse_to_fine, action_tokenizer: {tokenizer}, hidden_dim: 16, chain_dim: 8, draft: {{}}"
    checkpoint = finetune(openvla_run(LORA, f"model.action_head={{{fields}}}", "steps=1"))
    assert np.isfinite(first_action(checkpoint)).all()
    _, model = load_model(checkpoint, torch.device("cpu"), torch.bfloat16)
    assert model.token_head.eos.weight.dtype is torch.bfloat16
    assert_same(load_file(tokenizer / "model.safetensors"), model.action_tokenizer.state_dict())


@pytest.mark.parametrize("mode", MODES)
def test_two_steps_stopped_and_resumed_equal_four(openvla_run, mode: str):
    config = openvla_run(*MODES[mode])
    whole = weights(finetune(config))
    shutil.rmtree(config.out)
    run = start(config)
    run.config = openvla_run(*MODES[mode], "steps=2")
    train(run)
    first = weights(run_state.checkpoint_folder(config.out, 2))
    resumed = weights(finetune(config))
    assert_same(whole, resumed)
    assert any(not torch.equal(first[key], resumed[key]) for key in first)


def test_film_layers_are_trained_beside_the_adapters_and_merge_into_the_same_policy(
    openvla_run, base: Path, tmp_path: Path, caplog
):
    caplog.set_level("INFO", "training")
    checkpoint = finetune(openvla_run(*MODES["film"]))
    assert f"{base} has no FiLM layers" in caplog.text
    film = torch.load(checkpoint / "film--4_checkpoint.pt", weights_only=True)
    assert film["featurizer.0.scale.weight"].abs().max() > 0 and not any("lora" in key for key in film)
    assert not list(checkpoint.glob("vision_backbone*")), "the trunk is the base's and is not written again"
    merged = tmp_path / "merged"
    assert main(["checkpoint", "export", str(checkpoint), "--out", str(merged)]) == 0
    assert list(merged.glob("vision_backbone--*")) and not list(merged.glob("film--*"))
    np.testing.assert_allclose(first_action(merged), first_action(checkpoint), atol=0.03)  # exported in bfloat16
    # A second run goes on from these layers, and its checkpoint finds them through its base.
    goes_on = f"initial_checkpoint={checkpoint}", f"out={tmp_path / 'second'}", "steps=1"
    assert np.isfinite(first_action(finetune(openvla_run(*MODES["film"], *goes_on)))).all()
    (checkpoint / "film--4_checkpoint.pt").unlink()
    with pytest.raises(CheckpointError, match="vision_backbone"):
        load_model(checkpoint, *CPU)


@pytest.mark.parametrize("mode", ["film", "film, all weights"])
def test_a_run_does_not_go_on_without_the_film_layers_that_it_had(openvla_run, mode: str):
    checkpoint = finetune(openvla_run(*MODES[mode], "steps=2"))
    for path in [*checkpoint.glob("film--*"), *checkpoint.glob("vision_backbone--*")]:
        path.unlink()
    with pytest.raises(CheckpointError, match=f"{checkpoint}/config.json says that there are FiLM layers, and .* no"):
        start(openvla_run(*MODES[mode]))


def test_all_weights_are_trained_from_a_lora_checkpoint_with_its_adapter_merged(openvla_run, tmp_path: Path):
    first = finetune(openvla_run(*MODES["film"], "steps=2"))
    goes_on = f"initial_checkpoint={first}", f"out={tmp_path / 'second'}"
    with pytest.raises(CheckpointError, match="has FiLM layers, and model.backbone.film is false"):
        start(openvla_run(*goes_on))
    run = start(openvla_run("model.backbone.film=true", *goes_on))
    run.objective.eval()
    batch = run.stream.batch(0)
    with torch.no_grad():
        torch.testing.assert_close(run.objective.model(batch), load_model(first, *CPU)[1](batch), atol=1e-5, rtol=1e-5)
    assert all(weight.requires_grad for weight in run.objective.model.parameters())


def test_a_checkpoint_with_a_bfloat16_base_can_be_calibrated_again_and_inspected(openvla_run, capsys):
    checkpoint = finetune(openvla_run(*MODES["bf16"], "data.held_out_every=2"))
    calibration = checkpoint / "calibration.json"
    trained = calibration.read_text()
    calibration.unlink()
    assert main(["checkpoint", "calibrate", str(checkpoint)]) == 0
    assert calibration.read_text() == trained, "in the same precision as training"
    capsys.readouterr()
    assert main(["checkpoint", "eos", str(checkpoint)]) == 0
    assert capsys.readouterr().out.count("<- true end") == 2


@pytest.mark.parametrize("named", ["base", "organisation/model"])
def test_an_adapter_finds_its_base_from_anywhere(openvla_run, base: Path, tmp_path: Path, monkeypatch, named: str):
    monkeypatch.setattr(hub, "_download", {"organisation/model": base}.__getitem__)
    monkeypatch.chdir(tmp_path)
    checkpoint = finetune(openvla_run(LORA, f"initial_checkpoint={named}", "steps=1"))
    settings = json.loads((checkpoint / "lora_adapter/adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == {"base": str(base)}.get(named, named)
    monkeypatch.chdir("/")
    assert np.isfinite(first_action(checkpoint)).all()


def test_a_model_without_an_initial_checkpoint_is_said_to_be_random(openvla_run, base: Path, caplog):
    start(openvla_run("initial_checkpoint=null", f"data.tokenizer={base / 'tokenizer.json'}"))
    assert "no initial_checkpoint: the whole model starts from random weights" in caplog.text


def test_lora_trains_adapters_and_heads_alone(openvla_run):
    run = start(openvla_run("lora={rank: 2, base_dtype: float32, target_modules: [q_proj, v_proj]}"))
    trained = {name for name, weight in run.objective.model.named_parameters() if weight.requires_grad}
    layers = {name.split(".")[-4] for name in trained if name.startswith("backbone.")}
    assert layers == {"q_proj", "v_proj"}
    assert {name.split(".")[0] for name in trained} == {"backbone", "proprio_projector", "action_head", "eos_head"}
    # An adapter's second half starts at zero, so the first gradient reaches that one alone.
    run.objective.model.backbone.language_model.model.layers[0].self_attn.q_proj.lora_B.default.weight.data.fill_(0.1)
    assert not train_step(run, [run.stream.batch(0)]).is_skipped
    without = [
        name for name, weight in run.objective.model.named_parameters() if weight.requires_grad and weight.grad is None
    ]
    assert without == []


def test_the_direct_mode_reaches_the_adapters_and_the_buffer_does_not(openvla_run):
    for mode, reaches in (("direct", True), ("buffer", False)):
        run = start(openvla_run(*MODES[mode], f"out={openvla_run().out}_{mode}"))
        objective = run.objective
        for number in range(3):  # fills the buffer
            losses = objective(run.stream.batch(number))
        losses.eos.backward()
        adapters = [w for name, w in objective.named_parameters() if ".lora_" in name and w.requires_grad]
        assert any(w.grad is not None and w.grad.abs().max() > 0 for w in adapters) is reaches
        assert objective.model.eos_head.model[1].weight.grad.abs().max() > 0


def test_a_run_goes_on_from_adapters_of_another(openvla_run, tmp_path: Path):
    first = finetune(openvla_run(LORA, "steps=2"))
    again = openvla_run(LORA, f"initial_checkpoint={first}", f"out={tmp_path / 'second'}", "steps=1")
    run = start(again)
    run.objective.eval()
    batch = run.stream.batch(0)
    with torch.no_grad():
        torch.testing.assert_close(run.objective.model(batch), load_model(first, *CPU)[1](batch), atol=1e-4, rtol=1e-4)
    assert np.isfinite(first_action(finetune(again))).all()


def test_without_a_model_in_the_file_the_checkpoint_says_what_is_trained(openvla_run, base: Path, tmp_path: Path):
    content = yaml.safe_load((tmp_path / "large.yaml").read_text())
    del content["model"]
    (tmp_path / "large.yaml").write_text(yaml.safe_dump(content))
    config = openvla_run("eos={mode: none}", LORA)
    assert config.model == read_openvla_config(base)
    assert openvla_run("eos={mode: none}", "model={backbone: {type: openvla}}").model.model_type == "openvla"
    # As docs/how-to/train_openvla.md has it: the head that is trained is the one that EOS is read from.
    documented = openvla_run("model={backbone: {type: openvla}, eos_head: {}}")
    assert documented.checkpoint_model().eos == EosDetection(source=EosSource.HEAD, threshold=0.03)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["initial_checkpoint=null", LORA], "no initial_checkpoint"),
        (["lora={rank: 4}"], "mixed_precision must be bf16 and is 'no'"),
        (["lora={rank: 4, base_dtype: float32, target_modules: [w_proj]}"], "w_proj"),
        (["lora={rank: 0}"], "lora.rank is 0"),
        (["model.backbone.language_model.layers=3"], "num_hidden_layers is 3, the weights have 2"),
        (["initial_checkpoint=/nowhere", LORA], "/nowhere"),
        (["data.augmentation={type: crop_and_colour, hue: 2}"], "hue is 2"),
    ],
)
def test_what_does_not_fit_is_said(openvla_run, tmp_path: Path, capsys, overrides: list[str], message: str):
    openvla_run()
    arguments = ["train", "policy", str(tmp_path / "large.yaml"), *(f"--{text}" for text in overrides)]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_too_little_memory_names_checkpoint_and_remedy(openvla_run, base: Path, tmp_path: Path, capsys, monkeypatch):
    openvla_run()
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    assert main(["train", "policy", str(tmp_path / "large.yaml"), f"--{LORA}"]) == 1
    assert re.search(rf"train policy: {base}: the weights take .*: take a smaller number type", capsys.readouterr().err)


def test_heads_of_different_steps_are_no_start(openvla_run, base: Path, tmp_path: Path, capsys):
    openvla_run()
    (base / "action_head--0_checkpoint.pt").rename(base / "action_head--7_checkpoint.pt")
    assert main(["train", "policy", str(tmp_path / "large.yaml"), f"--{LORA}"]) == 2
    files = "action_head--7_checkpoint.pt, proprio_projector--0_checkpoint.pt"
    assert f"{base} would be loaded from files of different steps: {files}" in capsys.readouterr().err


def test_accelerate_takes_the_shipped_files():
    folder = Path(finetune_substep.__file__).parents[1] / "configs/accelerate"
    kinds = {path.stem: load_config_from_file(str(path)).distributed_type for path in folder.glob("*.yaml")}
    assert kinds == {"ddp": "MULTI_GPU", "fsdp": "FSDP"}

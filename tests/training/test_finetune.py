"""Whole training runs at toy size: checkpoints, resuming, skipping, logs, configuration."""

from __future__ import annotations

import json
import math
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from accelerate.optimizer import AcceleratedOptimizer
from safetensors.torch import load_file, save_file

from substep_cli.grammar import main
from substep_core.policy_source import PolicyError
from substep_policy.checkpoints.folder import CheckpointError
from substep_policy.eos import EosSource
from substep_policy.heads.decoder import OnePassDecoder
from substep_policy.models.compact.checkpoints import CHECKPOINTS
from substep_policy.registry import POLICIES, PolicySettings
from tests.training.checkpoints import assert_same, weights
from training import folder_lock
from training.checkpoints.load_run import load_trained
from training.data.build import open_store
from training.data.prefetch import prefetch
from training.folder_lock import alone_in
from training.train import finetune_substep, run_state
from training.train.config import FinetuneConfig, OptimizerConfig, read_config
from training.train.finetune_substep import (
    finetune,
    keep_meaning,
    learning_rate,
    make_optimizer,
    start,
    train,
    train_step,
    update,
)
from training.train.models import model_training

COMPACT_CONFIG = Path(finetune_substep.__file__).parents[1] / "configs/compact.yaml"


def test_a_run_leaves_a_checkpoint_that_is_a_policy(toy_run):
    folder = finetune(toy_run())
    assert folder.name == "step_0000004"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.json",
        "model.safetensors",
        "action_head--4_checkpoint.pt",
        "proprio_projector--4_checkpoint.pt",
        "eos_head--4_checkpoint.pt",
        "dataset_statistics.json",
        "tokenizer.json",
        "training_config.yaml",
        "training_state--0.pt",
        "calibration.json",
    }
    policy = POLICIES.load(str(folder), PolicySettings(device="cpu"))
    policy.start_substep("pick up the bowl", "put the bowl on the plate")
    eos = CHECKPOINTS.read_config(folder).eos
    assert (
        eos.calibrated and eos.threshold == json.loads((folder / "calibration.json").read_text())["chosen"]["threshold"]
    )


MODES = {
    "direct": [],
    "buffer": [
        "eos={mode: buffer, buffer: {min_negative: 4, sample_negative: 4, min_positive: 1, sample_positive: 1}}"
    ],
    "diffusion": ["model.action_head={type: diffusion, hidden_dim: 16}"],
    "tokens": [
        "model.action_head={type: tokens}",
        "model.eos_head=null",
        "model.eos={source: token}",
        "eos={mode: none}",
    ],
    "accumulation": ["optimizer.gradient_accumulation=2"],
    "bf16": ["mixed_precision=bf16"],
    "keyframes": ["keyframe_weight=0.5"],
}


@pytest.mark.parametrize("mode", MODES)
def test_two_steps_stopped_and_resumed_equal_four(toy_run, mode: str):
    config = toy_run("data.held_out_every=0", *MODES[mode])
    whole = weights(finetune(config))
    shutil.rmtree(config.out)
    run = start(config)
    run.config = read_config_of(toy_run, mode, "steps=2")
    train(run)  # stops after two steps, under the schedule of four
    first = weights(run_state.checkpoint_folder(config.out, 2))
    resumed = weights(finetune(config))
    assert_same(whole, resumed)
    assert any(not torch.equal(first[key], resumed[key]) for key in first)


def test_eos_is_calibrated_and_shown_as_the_head_was_trained_in_single_precision(toy_run):
    trained = load_trained(finetune(toy_run("mixed_precision=bf16", "steps=1")))
    batch = trained.data.transform([trained.data.held_out[0]])
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            hidden = trained.model(batch)
        expected = trained.model.eos_head(hidden.float()).sigmoid()[..., 0]
    assert torch.equal(trained.eos_probabilities(batch), expected)
    assert trained.chunk(batch).eos_probabilities.tolist() == expected[0].tolist()


def test_a_checkpoint_says_which_skills_it_was_taught_unless_whole_tasks_were_shown(toy_run, tmp_path: Path):
    folder = finetune(toy_run("steps=1"))
    assert CHECKPOINTS.read_config(folder).skills == ("pick up", "place")
    assert POLICIES.load(str(folder), PolicySettings(device="cpu")).skills == ("pick up", "place")
    whole_tasks = toy_run("steps=1", "data.rules.use_substep_decomposition=false", f"out={tmp_path / 'whole'}")
    assert CHECKPOINTS.read_config(finetune(whole_tasks)).skills == ()


def test_keyframes_cannot_be_turned_on_in_the_middle_of_a_run(toy_run):
    finetune(toy_run("steps=2", "data.held_out_every=0"))
    with pytest.raises(ValueError, match="nothing beside the model.*keyframe_weight cannot be turned on or off"):
        finetune(toy_run("data.held_out_every=0", "keyframe_weight=0.5"))


def test_a_checkpoint_of_before_keyframes_is_told_to_be_old(toy_run):
    folder = finetune(toy_run("steps=2", "data.held_out_every=0"))
    state = torch.load(folder / "training_state--0.pt", weights_only=True)
    del state["auxiliary"]
    torch.save(state, folder / "training_state--0.pt")
    with pytest.raises(ValueError, match="step_0000002 is from an older version.*initial_checkpoint="):
        finetune(toy_run("data.held_out_every=0"))


def test_eos_is_read_from_the_head_that_is_trained_where_no_source_is_named(toy_run):
    eos = CHECKPOINTS.read_config(finetune(toy_run("model.eos.source=none"))).eos
    assert eos.source is EosSource.HEAD and eos.calibrated


def test_a_step_that_overflows_in_fp16_is_known_to_be_skipped(toy_run):
    objective = start(toy_run()).objective
    optimizer = make_optimizer(objective, OptimizerConfig(), "fp16")
    scaled = AcceleratedOptimizer(optimizer, scaler=torch.amp.GradScaler("cpu", init_scale=4.0))
    weight = objective.model.proprio_projector.fc1.weight
    for gradient, is_skipped in ((torch.inf, True), (1.0, False)):
        scaled.scaler.scale(weight.sum() * gradient).backward()
        scaled.step()
        assert scaled.step_was_skipped is is_skipped
        scaled.zero_grad()


def read_config_of(toy_run, mode: str, *more: str):
    return toy_run("data.held_out_every=0", *MODES[mode], *more)


def test_resuming_from_an_earlier_checkpoint_gives_the_same_end(toy_run):
    config = toy_run("data.held_out_every=0", "save_every=1", "keep=10")
    whole = weights(finetune(config))
    for step, folder in run_state.checkpoints(config.out):
        if step > 1:
            shutil.rmtree(folder)
    assert_same(whole, weights(finetune(config)))


@pytest.mark.parametrize("kind", ["*.pt", "model.safetensors"])
def test_a_checkpoint_that_is_cut_short_is_passed_over_for_the_one_before(toy_run, kind: str):
    config = toy_run("data.held_out_every=0", "save_every=2", "keep=10")
    whole = weights(finetune(config))
    file = min(run_state.checkpoint_folder(config.out, 4).glob(kind))
    content = file.read_bytes()
    file.unlink()  # another file in its place: the weights above are mapped from this one
    file.write_bytes(content[: len(content) // 2])
    assert_same(whole, weights(finetune(config)))
    text = (config.out / "train.log").read_text()
    assert "step_0000004 is passed over: " in text and f"{file.name} is cut short" in text


def test_a_disk_that_is_full_is_called_that(toy_run, monkeypatch, capsys):
    config = toy_run("data.held_out_every=0")

    def fail(state, path) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:783] . PytorchStreamWriter failed writing file")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match=r"step_0000002.unfinished could not be written, \d+ MB are free there"):
        finetune(config)
    assert run_state.checkpoints(config.out) == []


@pytest.mark.parametrize(("free", "what"), [(100_000, "checkpoints take"), (0, "frames of 6 episodes take")])
def test_a_disk_without_room_is_found_before_the_work(toy_run, tmp_path, monkeypatch, free, what):
    config = toy_run()
    if free == 0:  # the checkpoints' disk is another one
        monkeypatch.setattr(run_state, "check_room_for_checkpoints", lambda *of: None)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free))
    with pytest.raises(OSError, match=rf"{what} .* GB, and {free / 1e9:.3g} GB are free on its disk"):
        finetune(config)
    cache = tmp_path / "cache/frames.bin"
    assert not cache.exists() or cache.stat().st_size == 0


def test_resuming_says_what_has_changed(toy_run):
    config = toy_run("steps=2", "data.held_out_every=0")
    finetune(config)
    finetune(config)
    finetune(toy_run("data.held_out_every=0", "optimizer.weight_decay=0.1"))
    text = (config.out / "train.log").read_text()
    assert "step_0000002; with the same configuration" in text
    assert "step_0000002; changed since: optimizer.weight_decay 0.05 -> 0.1, steps 2 -> 4" in text


def test_only_the_last_checkpoints_are_kept_and_unfinished_ones_ignored(toy_run):
    config = toy_run("save_every=1", "keep=2")
    unfinished = run_state.checkpoint_folder(config.out, 3).with_suffix(".unfinished")
    unfinished.mkdir(parents=True)
    finetune(config)
    assert [step for step, _ in run_state.checkpoints(config.out)] == [3, 4]


def test_training_fits_the_demonstrations(toy_run):
    config = toy_run(
        "steps=60",
        "save_every=60",
        "optimizer.learning_rate=0.003",
        "data.augmentation=null",
        "model.backbone.dropout=0.0",
    )
    run = start(config)
    batch = run.stream.batch(0)
    before = run.objective(batch).action.item()
    train(run)
    assert run.objective(batch).action.item() < 0.8 * before


def test_a_loss_that_is_not_finite_skips_the_batch_and_is_counted(toy_run, caplog):
    config = toy_run("data.held_out_every=0")
    run = start(config)
    before = {key: value.clone() for key, value in run.objective.state_dict().items()}
    batch = run.stream.batch(0)
    batch["actions"][0, 0, 0] = torch.nan
    report = train_step(run, [batch])
    assert report.is_skipped
    assert_same(before, run.objective.state_dict())
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in run.objective.parameters())

    stream_batch = type(run.stream).batch

    def poisoned(self, number: int):
        found = stream_batch(self, number)
        if number == 1:
            found["proprio"] = found["proprio"] * math.inf
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(run.stream), "batch", poisoned)
        train(run)
    assert run.skipped == 1 and run.step == 4
    assert "step 2: loss or gradient is not finite, batch skipped (1 so far)" in caplog.text
    state = torch.load(run_state.checkpoint_folder(config.out, 4) / "training_state--0.pt", weights_only=True)
    assert state["skipped"] == 1


def test_gradients_are_clipped(toy_run):
    run = start(toy_run("optimizer.max_grad_norm=0.01"))
    report = train_step(run, [run.stream.batch(0)])
    norms = [float(p.grad.norm()) for p in run.objective.parameters() if p.grad is not None]
    assert report.gradient_norm > 0.01
    assert math.hypot(*norms) == pytest.approx(0.01, rel=1e-3)
    assert OptimizerConfig().max_grad_norm == 0.8


def test_accumulated_batches_make_the_update_of_all_of_them_in_one(toy_run):
    config = toy_run("data.held_out_every=0", "model.backbone.dropout=0.0", "model.eos_head.dropout=0.0")
    weights = []
    for size in (8, 2):
        run = start(config)
        batch = run.stream.batch(0)
        # As many actions in each part, so that the mean of all is the mean of the parts.
        batch["action_mask"] = torch.ones_like(batch["action_mask"])
        parts = [{name: tensor[first : first + size] for name, tensor in batch.items()} for first in range(0, 8, size)]
        before = run.objective.model.proprio_projector.fc1.weight.clone()
        # Adam would hide how large a gradient is.
        optimizer = torch.optim.SGD(run.objective.parameters(), lr=0.1)
        assert not update(run.accelerator, run.wrapped, run.objective, optimizer, parts, math.inf).is_skipped
        assert not torch.allclose(run.objective.model.proprio_projector.fc1.weight, before)
        weights.append(run.objective.state_dict())
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, msg=lambda text, name=name: f"{name}: {text}")


def test_fifty_batches_are_looked_at_before_training(toy_run):
    config = toy_run()
    assert FinetuneConfig(out=config.out, data=config.data, model=config.model).distribution_batches == 50


def test_the_log_tells_distribution_updates_and_threshold(toy_run):
    config = toy_run()
    finetune(config)
    text = (config.out / "train.log").read_text()
    assert "of 64 sampled actions" in text, "two batches of eight chunks of four"
    assert "recommended positive weight" in text and "4 episodes with substep labels" in text
    for part in ("step 2: held_out/action 0.", "step 3: EOS loss", "gradient norm 0.", "EOS threshold"):
        assert part in text
    assert list(config.out.glob("curves/events.*")), "TensorBoard finds the curves"


def test_the_whole_configuration_is_echoed_into_the_checkpoint(toy_run):
    config = toy_run("steps=2", "data.held_out_every=0")
    folder = finetune(config)
    assert read_config(folder / "training_config.yaml") == config


def test_default_thresholds_follow_the_mode_and_calibration_overrides_them(toy_run):
    folder = finetune(toy_run("steps=1", "data.held_out_every=0", "eos={mode: buffer}"))
    eos = CHECKPOINTS.read_config(folder).eos
    assert (eos.threshold, eos.calibrated) == (0.5, False)


def test_a_chosen_threshold_is_kept_where_nothing_is_held_out(toy_run, tmp_path: Path):
    first = finetune(toy_run("steps=1"))
    chosen = CHECKPOINTS.read_config(first).eos
    assert chosen.calibrated and chosen.threshold != 0.03
    on = (f"initial_checkpoint={first}", "data.held_out_every=0", "steps=1", "save_every=1")
    second = finetune(toy_run(f"out={tmp_path / 'second'}", *on))
    assert CHECKPOINTS.read_config(second).eos == chosen
    third = finetune(toy_run(f"out={tmp_path / 'third'}", *on, "eos={mode: direct, threshold: 0.2}"))
    assert (CHECKPOINTS.read_config(third).eos.threshold, CHECKPOINTS.read_config(third).eos.calibrated) == (0.2, False)


def test_a_run_starts_from_the_weights_and_tokenizer_of_another(toy_run, tmp_path: Path):
    first = finetune(toy_run("steps=2", "data.held_out_every=0"))
    second = toy_run(f"out={tmp_path / 'second'}", f"initial_checkpoint={first}", "data.held_out_every=0")
    run = start(second)
    assert_same(dict(load_file(first / "model.safetensors")), run.objective.model.backbone.state_dict())
    assert run.step == 0


def test_a_checkpoint_says_the_same_with_other_action_bounds(toy_run, tmp_path: Path):
    first = finetune(toy_run("steps=2", "data.held_out_every=0"))
    bounds = f"initial_checkpoint={first}", "data.held_out_every=0", "data.action_bounds=limits"
    run, before = start(toy_run(f"out={tmp_path / 'second'}", *bounds)), start(toy_run("data.held_out_every=0"))
    batch = run.stream.batch(0)
    actions = [
        r.data.statistics.action.unnormalize(r.objective.model.eval().act(batch)[0].detach().numpy())
        for r in (before, run)
    ]
    assert np.abs(before.data.statistics.action.q99[:6]).max() < 1.0 == run.data.statistics.action.q99[0]
    np.testing.assert_allclose(actions[1], actions[0], atol=1e-5)
    with pytest.raises(ValueError, match="data.action_bounds is 'limits'.* a OnePassDecoder cannot be rescaled"):
        keep_meaning(OnePassDecoder(torch.nn.Linear(1, 1)), before.data.statistics.action, run.data.statistics.action)


def test_learning_rate_warms_up_and_decays_to_what_is_said():
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=10, final_rate=0.02)
    assert learning_rate(config, 0, 100) == pytest.approx(0.1) and learning_rate(config, 10, 100) == 1.0
    assert learning_rate(config, 55, 100) == pytest.approx(0.51)
    assert learning_rate(config, 100, 100) == pytest.approx(0.02)


def test_the_command_trains_and_prints_the_checkpoint(toy_run, tmp_path: Path, capsys):
    toy_run()
    assert main(["train", "policy", str(tmp_path / "config.yaml"), "--steps", "1", "--data.held-out-every=0"]) == 0
    assert capsys.readouterr().out.strip().endswith("step_0000001")


def test_a_second_run_in_the_same_folder_is_refused(toy_run, tmp_path: Path, capsys):
    out = toy_run().out
    with alone_in(out):
        assert main(["train", "policy", str(tmp_path / "config.yaml")]) == 1
    assert f"another command is at work in {out}" in capsys.readouterr().err
    assert not run_state.checkpoints(out) and not (out / "train.log").exists()


def test_runs_add_to_one_cache_in_turn(toy_run, monkeypatch):
    config, waits = toy_run(), threading.Event()
    monkeypatch.setattr(folder_lock.log, "warning", lambda *message: waits.set())
    with ThreadPoolExecutor(1) as pool:
        with folder_lock.in_turn(config.data.cache):
            opened = pool.submit(open_store, config.data, model_training(config).store_format)
            assert waits.wait(60) and not any(config.data.cache.glob("*.bin"))
        assert len(opened.result(60)[1]) == 6


def test_a_run_may_keep_its_cache_in_its_own_folder(toy_run, tmp_path: Path):
    assert finetune(toy_run("steps=1", "data.held_out_every=0", f"data.cache={tmp_path / 'run'}")).is_dir()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lerning_rate=1", "optimizer.lerning_rate is not a known key"),
        ("optimizer.batch_size=0", "optimizer.batch_size is 0"),
        ("model.eos={source: token}", "EOS as a token needs a head that emits tokens"),
        ("model.eos_head=null", "needs an eos_head"),
        ("data.sources=[{type: parquet, path: x}]", "data.sources.0: unknown data reader 'parquet'"),
        ("steps=", "steps is None"),
        ("model.action_head={type: tokens, hidden_dim: 3}", "action_head.hidden_dim is not a known key"),
    ],
)
def test_a_wrong_configuration_ends_with_key_and_value(toy_run, tmp_path: Path, capsys, override: str, message: str):
    toy_run()
    assert main(["train", "policy", str(tmp_path / "config.yaml"), f"--{override}"]) == 2
    assert message in capsys.readouterr().err


def test_labels_that_are_missing_are_named(toy_run, tmp_path: Path, capsys):
    toy_run()
    assert main(["train", "policy", str(tmp_path / "config.yaml"), "--data.labels=/nowhere.json"]) == 2
    assert "/nowhere.json" in capsys.readouterr().err


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path, capsys):
    (tmp_path / "config.yaml").write_text("a: [")
    assert main(["train", "policy", str(tmp_path / "config.yaml")]) == 2
    assert "config.yaml" in capsys.readouterr().err


def test_shipped_configurations_are_valid():
    folder = Path(finetune_substep.__file__).parents[1] / "configs"
    paths = sorted(folder.glob("*.yaml"))
    assert paths
    for path in paths:
        read_config(path)
        assert yaml.safe_load(path.read_text())


def test_the_exported_folder_is_small_holds_no_pickles_and_is_the_same_policy(toy_run, tmp_path: Path, capsys):
    checkpoint, out = finetune(toy_run()), tmp_path / "shipped"
    assert main(["checkpoint", "export", str(checkpoint), "--out", str(out)]) == 0
    assert "MB" in capsys.readouterr().out
    suffixes = {path.suffix for path in out.iterdir()}
    assert suffixes == {".json", ".yaml", ".safetensors"}
    assert CHECKPOINTS.read_config(out) == CHECKPOINTS.read_config(checkpoint)
    POLICIES.load(str(out), PolicySettings(device="cpu")).start_substep("pick up the bowl", "")
    assert main(["checkpoint", "export", str(tmp_path / "nowhere"), "--out", str(out)]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_eos_can_be_inspected_from_the_command_line(toy_run, capsys):
    tokens = finetune(toy_run(*MODES["tokens"]))
    capsys.readouterr()
    assert main(["checkpoint", "eos", str(tokens)]) == 0
    printed = capsys.readouterr().out
    assert "EOS from token" in printed and "EOS token id 0 of 257 tokens" in printed and "(calibrated)" in printed
    lines = [line for line in printed.splitlines() if line.strip()[:1].isdigit()]
    assert len(lines) == 18 and "<- true end" in lines[9] and "<- true end" in lines[17]
    assert "pick up the bowl" in lines[0] and "place the bowl on the plate" in lines[10]
    assert main(["checkpoint", "eos", str(tokens), "--episode", "no/such/episode_0"]) == 2
    assert "no episode 'no/such/episode_0'" in capsys.readouterr().err


def test_prefetching_keeps_the_order_and_raises_in_turn():
    assert list(prefetch(lambda n: n * n, range(10), depth=3)) == [n * n for n in range(10)]
    results = prefetch(lambda n: 1 // (2 - n), range(4), depth=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_run_starts_from_a_policy_by_its_name():
    config = read_config(COMPACT_CONFIG, ("initial_checkpoint=compact",))
    assert config.initial_folder == POLICIES.folder("compact")
    with pytest.raises(PolicyError, match="unknown policy 'compct': expected one of .*compact"):
        _ = read_config(COMPACT_CONFIG, ("initial_checkpoint=compct",)).initial_folder


def test_a_run_begins_from_a_checkpoint_of_shorter_chunks(toy_run, tmp_path: Path):
    first = finetune(toy_run("steps=1", "data.held_out_every=0"))
    length = CHECKPOINTS.read_config(first).chunk_length
    longer = f"model.chunk_length={2 * length}", f"initial_checkpoint={first}", "data.held_out_every=0"
    second = toy_run(*longer, f"out={tmp_path / 'second'}", "steps=1")
    queries, before = start(second).objective.model.backbone.queries, load_file(first / "model.safetensors")["queries"]
    assert torch.equal(queries[:length], before)
    assert torch.equal(queries[length:], before[-1:].expand(length, -1))
    trained, _ = CHECKPOINTS.load(finetune(second))
    assert trained.chunk_length == 2 * length


def test_weights_that_are_no_compact_models_are_named_and_not_tripped_over(toy_run, tmp_path: Path):
    first = finetune(toy_run("steps=1"))
    state = load_file(first / "model.safetensors")
    save_file({name: value for name, value in state.items() if name != "queries"}, first / "model.safetensors")
    with pytest.raises(CheckpointError, match="model.safetensors does not fit CompactBackbone: queries is missing"):
        start(toy_run(f"initial_checkpoint={first}", f"out={tmp_path / 'second'}"))


def test_a_run_does_not_go_on_with_chunks_of_another_length(toy_run):
    length = CHECKPOINTS.read_config(finetune(toy_run("steps=1"))).chunk_length
    with pytest.raises(ValueError, match=f"has chunks of {length} actions and model.chunk_length is {length + 1}"):
        start(toy_run("steps=2", f"model.chunk_length={length + 1}"))

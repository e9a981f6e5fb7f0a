"""What is shown of a checkpoint's EOS is what its policy does."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from substep_cli.grammar import main
from substep_policy.benchmarks.random_models import random_observation
from substep_policy.registry import POLICIES, PolicySettings
from tests.training.toy import TASK
from training.labels.file import SubstepLabels
from training.train.finetune_substep import finetune

TOKENS = (
    "data.held_out_every=0",  # nothing to calibrate on
    "model.action_head={type: tokens}",
    "model.eos_head=null",
    "model.eos={source: token, threshold: null}",
    "eos={mode: none}",
)


@pytest.mark.parametrize(("likelihood", "eos_index"), [(2.0, 0), (0.5, -1)])
def test_without_a_threshold_eos_is_the_likeliest_token(toy_run, capsys, likelihood: float, eos_index: int):
    """EOS so many times as likely as any of the 256 action tokens: far below one half, and yet found or not."""
    checkpoint = finetune(toy_run(*TOKENS, "steps=1"))
    path = checkpoint / "action_head--1_checkpoint.pt"
    head = {key: torch.zeros_like(value) for key, value in torch.load(path, weights_only=True).items()}
    head["projection.bias"][0] = math.log(likelihood)
    torch.save(head, path)
    policy = POLICIES.load(str(checkpoint), PolicySettings(device="cpu"))
    policy.start_substep("pick up the bowl", "")
    assert policy.predict(random_observation(policy.robot, policy.cameras, 32)).eos_index == eos_index
    capsys.readouterr()
    assert main(["checkpoint", "eos", str(checkpoint)]) == 0
    head_line, _, *lines = capsys.readouterr().out.splitlines()
    assert "EOS from token, where it is the likeliest (the default)" in head_line
    found = [int(match[1]) if (match := re.search(r"EOS at (\d+)", line)) else -1 for line in lines]
    assert found == [timestep if eos_index == 0 else -1 for timestep in range(len(lines))]


@pytest.mark.parametrize("command", ["eos", "calibrate"])
def test_a_policy_without_eos_is_refused(toy_run, capsys, command):
    without = ("data.held_out_every=0", "model.eos_head=null", "model.eos={source: none, threshold: null}")
    checkpoint = finetune(toy_run(*without, "eos={mode: none}", "steps=1"))
    capsys.readouterr()
    assert main(["checkpoint", command, str(checkpoint)]) == 2
    printed = capsys.readouterr()
    assert f"{checkpoint} has eos.source 'none': it was trained without EOS" in printed.err and printed.out == ""


@pytest.fixture(scope="module")
def collected(tmp_path_factory) -> Path:
    """One demonstration that nothing disturbs."""
    out = tmp_path_factory.mktemp("collected")
    options = ["--suites", "libero_object", "--tasks", "4", "--per-task", "1", "--workers", "1", "--seed", "5"]
    assert (
        main(["data", "collect", "--out", str(out), *options, "--disturbance", "0", "--noise", "0", "--widened", "0"])
        == 0
    )
    return out


def test_a_shipped_policy_is_looked_at_along_any_demonstration(collected: Path, capsys):
    """It finds EOS where the demonstrator ended its substeps, give or take, and is told the substep it is in."""
    assert main(["checkpoint", "eos", "compact", "--demonstrations", str(collected)]) == 0
    rule, key, *lines = capsys.readouterr().out.splitlines()
    labels = SubstepLabels.load(collected / "substep_labels.json").find(*key.split("/"))
    assert rule.startswith("EOS from head, threshold 0.") and "(calibrated)" in rule
    assert [int(line.split()[0]) for line in lines] == list(range(len(labels)))
    assert [number for number, line in enumerate(lines) if "<- true end" in line] == labels.boundaries
    for line, index in zip(lines, labels.substep_index, strict=True):
        assert line.endswith(f"  {labels.substeps[index].instruction}")
        assert len(re.findall(r" [01]\.\d\d", line)) == 8
    found = np.array([int(match[1]) for line in lines if (match := re.search(r"EOS at (\d+)", line))])
    assert all(np.abs(found - end).min() <= 5 for end in labels.boundaries)
    assert len(found) < len(lines) / 2


@pytest.mark.parametrize("command", ["eos", "latency"])
def test_a_checkpoint_is_looked_at_with_the_statistics_that_are_named(collected: Path, capsys, command):
    options = ["--demonstrations", str(collected)] if command == "eos" else ["--repeats", "1"]
    assert main(["checkpoint", command, "compact", "--dataset", "libero_10", *options]) == 2
    assert "statistics of 'substep_demonstrations', not of 'libero_10'" in capsys.readouterr().err


def test_what_is_shown_along_given_demonstrations_is_what_is_shown_along_those_of_the_training(
    toy_run, tmp_path: Path, capsys
):
    checkpoint = finetune(toy_run("steps=1", "data.held_out_every=0"))
    shutil.copy(tmp_path / "substep_labels.json", tmp_path / "demos/substep_labels.json")
    episode = ["--episode", f"libero_goal/{TASK}/episode_2"]
    capsys.readouterr()
    assert main(["checkpoint", "eos", str(checkpoint), *episode]) == 0
    expected = capsys.readouterr().out
    shutil.rmtree(tmp_path / "cache")
    (checkpoint / "training_config.yaml").unlink()
    assert main(["checkpoint", "eos", str(checkpoint), "--demonstrations", str(tmp_path / "demos"), *episode]) == 0
    assert capsys.readouterr().out == expected and len(expected.splitlines()) == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compact"], "substep_labels.json is missing: ./substep data label makes it"),
        (["nobody", "--demonstrations", "{demos}"], "unknown policy 'nobody'"),
        (["demonstrator", "--demonstrations", "{demos}"], "has no checkpoint, it is a program"),
        (["compact", "--demonstrations", "{demos}", "--episode", "a/b/c"], "there is no episode 'a/b/c'"),
        (["compact", "--demonstrations", "{demos}/libero_object"], "substep_labels.json"),
        (["compact", "--steps=3", "--demonstrations", "{demos}"], "leave the other options out"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_with_the_reason(
    collected: Path, tmp_path: Path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)  # where the data of the training are not
    assert main(["checkpoint", "eos", *(argument.format(demos=collected) for argument in arguments)]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.out == ""


def test_demonstrations_without_their_labels_are_refused(collected: Path, tmp_path: Path, capsys):
    shutil.copytree(collected, tmp_path / "demos")
    SubstepLabels().save(tmp_path / "demos/substep_labels.json")
    assert main(["checkpoint", "eos", "compact", "--demonstrations", str(tmp_path / "demos")]) == 2
    assert "substep_labels.json has no labels of libero_object/" in capsys.readouterr().err

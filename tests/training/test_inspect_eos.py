"""What is shown of a checkpoint's EOS is what its policy does."""

from __future__ import annotations

import math
import re

import pytest
import torch

from substep_policy.benchmarks.random_models import random_observation
from substep_policy.registry import POLICIES, PolicySettings
from training.calibrate import main as calibrate
from training.finetune_substep import finetune
from training.inspect_eos import main

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
    assert policy.predict(random_observation(("agentview", "eye_in_hand"), 32)).eos_index == eos_index
    capsys.readouterr()
    assert main([str(checkpoint)]) == 0
    head_line, _, *lines = capsys.readouterr().out.splitlines()
    assert "EOS from token, where it is the likeliest (the default)" in head_line
    found = [int(match[1]) if (match := re.search(r"EOS at (\d+)", line)) else -1 for line in lines]
    assert found == [timestep if eos_index == 0 else -1 for timestep in range(len(lines))]


@pytest.mark.parametrize("command", [main, calibrate])
def test_a_policy_without_eos_is_refused(toy_run, capsys, command):
    without = ("data.held_out_every=0", "model.eos_head=null", "model.eos={source: none, threshold: null}")
    checkpoint = finetune(toy_run(*without, "eos={mode: none}", "steps=1"))
    capsys.readouterr()
    assert command([str(checkpoint)]) == 1
    printed = capsys.readouterr()
    assert f"{checkpoint} has eos.source 'none': it was trained without EOS" in printed.err and printed.out == ""

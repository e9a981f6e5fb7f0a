"""Training in two processes, started as the documentation has it: ``accelerate launch --config_file … ddp.yaml``.

The shipped file is for GPUs; where there are none accelerate lets the processes talk by gloo.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from substep_policy.registry import POLICIES, PolicySettings
from training.train import finetune_substep, run_state
from training.train.finetune_substep import finetune, start

DDP = Path(finetune_substep.__file__).parents[1] / "configs/accelerate/ddp.yaml"
TESTS = Path(__file__).parent
ACCUMULATION = "optimizer.gradient_accumulation=2"
# What is drawn at random differs between one process and two; of a chunk of one action every action counts, so that
# the mean over all samples is the mean over the processes; and what the EOS head learns shall not clip the rest.
COMPARABLE = [
    "model.chunk_length=1",
    "model.backbone.dropout=0.0",
    "model.eos_head.dropout=0.0",
    "data.augmentation=null",
    "data.paraphrase_probability=0",
    "data.held_out_every=0",
    "optimizer.max_grad_norm=1.0e9",
]

pytestmark = pytest.mark.timeout(600)


def launch(folder: Path, *program: str) -> None:
    """Run a program or ``-m module`` in two processes, to its end; ``folder`` takes the logs that PyTorch leaves."""
    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--config_file", str(DDP)]
    options = ["--num_processes", "2", "--main_process_port", "0"]  # any free port
    root = TESTS.parents[1]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "TMPDIR": str(folder),
        "PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}",
    }
    done = subprocess.run([*command, *options, *program], env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-6000:]


def buffer_mode(min_positive: int) -> str:
    return (
        "eos={mode: buffer, buffer: {min_negative: 4, sample_negative: 4, sample_positive: 1, "
        f"min_positive: {min_positive}}}}}"
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of a checkpoint, by the names in ``Objective``; without the EOS head, whose lessons are drawn at random."""
    parts = {"action_head": "model.action_head", "proprio_projector": "model.proprio_projector"}
    state = {f"model.backbone.{key}": value for key, value in load_file(folder / "model.safetensors").items()}
    for part, prefix in parts.items():
        (path,) = folder.glob(f"{part}--*")
        state |= {f"{prefix}.{key}": value for key, value in torch.load(path, weights_only=True).items()}
    return state


def flat(state: dict[str, torch.Tensor], names: list[str]) -> torch.Tensor:
    return torch.cat([state[name].float().flatten() for name in names])


def test_two_processes_make_the_steps_of_one_with_batches_twice_as_large(toy_run, tmp_path: Path):
    overrides = [*COMPARABLE, buffer_mode(1), ACCUMULATION, "steps=3"]
    one = toy_run(*overrides, f"out={tmp_path / 'one'}", "optimizer.batch_size=16")
    before = {key: value.clone() for key, value in start(one).objective.state_dict().items()}
    alone = weights(finetune(one))

    two = toy_run(*overrides)
    command = ["-m", "substep_cli", "train", "policy", str(tmp_path / "config.yaml")]
    launch(tmp_path, *command, *(f"--{text}" for text in overrides))
    folder = run_state.checkpoint_folder(two.out, 3)
    together, names = weights(folder), sorted(alone)
    moved = (flat(alone, names) - flat(before, names)).norm()
    assert (flat(together, names) - flat(alone, names)).norm() < 0.02 * moved, "the work of both went in"
    half = weights(finetune(toy_run(*overrides, f"out={tmp_path / 'half'}")))
    assert (flat(half, names) - flat(alone, names)).norm() > 0.2 * moved, "that of one would not do"

    states = [torch.load(folder / f"training_state--{process}.pt", weights_only=True) for process in range(2)]
    assert [state["step"] for state in states] == [3, 3]
    entries = [torch.stack(state["buffer"]["negative"]) for state in states]
    assert not torch.equal(*entries), "each has seen batches of its own"
    policy = POLICIES.load(str(folder), PolicySettings(device="cpu"))
    policy.start_substep("pick up the bowl", "put the bowl on the plate")
    eos_head = torch.load(folder / "eos_head--3_checkpoint.pt", weights_only=True)
    assert all(value.isfinite().all() for value in eos_head.values())
    assert any(not torch.equal(value, before[f"model.eos_head.{key}"]) for key, value in eos_head.items())
    assert (two.out / "train.log").read_text().count("step 3: EOS loss") == 1, "one process speaks for both"


def test_what_is_not_finite_in_one_process_is_skipped_by_both(toy_run, tmp_path: Path):
    overrides = [ACCUMULATION, "data.held_out_every=0", "steps=5", "save_every=5"]
    # The EOS head is first used by the first process right after the batch whose loss is not finite in the second.
    stream = dataclasses.replace(start(toy_run(*overrides, f"out={tmp_path / 'other'}")).stream, world=2)
    positives = [int(stream.batch(number)["eos_labels"].sum()) for number in range(3)]
    assert positives[2] > 0
    overrides.append(buffer_mode(sum(positives[:2]) + 1))
    out = toy_run(*overrides).out
    launch(tmp_path, str(TESTS / "poisoned_process.py"), str(tmp_path / "config.yaml"), *overrides)
    log = (out / "train.log").read_text()
    for count, step in enumerate((1, 2, 3), 1):
        assert f"step {step}: loss or gradient is not finite, batch skipped ({count} so far)" in log
    folder = run_state.checkpoint_folder(out, 5)
    for process in range(2):
        state = torch.load(folder / f"training_state--{process}.pt", weights_only=True)
        assert (state["step"], state["skipped"]) == (5, 3)
        assert {int(part["step"]) for part in state["optimizer"]["state"].values()} == {2}
    first, second = (torch.load(out / f"weights-{process}.pt", weights_only=True) for process in range(2))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert all(value.isfinite().all() for value in first.values())

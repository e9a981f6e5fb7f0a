"""Training in two processes, started as the documentation has it: ``accelerate launch --config_file … ddp.yaml``.

The shipped file is for GPUs; where there are none accelerate lets the processes talk by gloo. Two processes do all that
is looked at here, since they take longer to start than to train.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from substep_policy.models.openvla.published_config import read_config as read_openvla_config
from substep_policy.registry import POLICIES, PolicySettings
from tests.training import checkpoints
from tests.training.conftest import toy_runs
from tests.training.test_finetune_openvla import LORA, MODES, openvla_runs
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


def launch(folder: Path, jobs: list[dict[str, object]]) -> None:
    """Do the jobs of ``several_processes.py`` in two processes; ``folder`` takes the logs that PyTorch leaves."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    # What ``accelerate launch`` runs; that loads the libraries of every other subcommand first.
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(DDP)]
    options = ["--num_processes", "2", "--main_process_port", "0"]  # any free port
    program = [str(TESTS / "several_processes.py"), str(folder / "jobs.json")]
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


def job(kind: str, config: Path, overrides: list[str], **options: object) -> dict[str, object]:
    return {"kind": kind, "config": str(config), "overrides": overrides, **options}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What two processes have left: runs ``toy`` and ``poisoned``; of OpenVLA ``copied_…``, ``sharded_…``, ``bf16``."""
    folder = tmp_path_factory.mktemp("two_processes")
    config = folder / "config.yaml"
    jobs = [job("whole", config, [*AS_ONE, f"out={folder / 'toy'}"])]
    jobs += [job("poisoned", config, [*poisoned_run(folder), f"out={folder / 'poisoned'}"])]
    (folder / "openvla").mkdir()
    openvla_runs(folder / "openvla")
    launch(folder, jobs + openvla_jobs(folder / "openvla/large.yaml", folder))
    return folder


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


AS_ONE = [*COMPARABLE, buffer_mode(1), ACCUMULATION, "steps=3"]


def test_two_processes_make_the_steps_of_one_with_batches_twice_as_large(folder: Path, toy_run, tmp_path: Path):
    one = toy_run(*AS_ONE, f"out={tmp_path / 'one'}", "optimizer.batch_size=16")
    before = {key: value.clone() for key, value in start(one).objective.state_dict().items()}
    alone = weights(finetune(one))

    checkpoint = run_state.checkpoint_folder(folder / "toy", 3)
    together, names = weights(checkpoint), sorted(alone)
    moved = (flat(alone, names) - flat(before, names)).norm()
    assert (flat(together, names) - flat(alone, names)).norm() < 0.02 * moved, "the work of both went in"
    half = weights(finetune(toy_run(*AS_ONE, f"out={tmp_path / 'half'}")))
    assert (flat(half, names) - flat(alone, names)).norm() > 0.2 * moved, "that of one would not do"

    states = [torch.load(checkpoint / f"training_state--{process}.pt", weights_only=True) for process in range(2)]
    assert [state["step"] for state in states] == [3, 3]
    entries = [torch.stack(state["buffer"]["negative"]) for state in states]
    assert not torch.equal(*entries), "each has seen batches of its own"
    policy = POLICIES.load(str(checkpoint), PolicySettings(device="cpu"))
    policy.start_substep("pick up the bowl", "put the bowl on the plate")
    eos_head = torch.load(checkpoint / "eos_head--3_checkpoint.pt", weights_only=True)
    assert all(value.isfinite().all() for value in eos_head.values())
    assert any(not torch.equal(value, before[f"model.eos_head.{key}"]) for key, value in eos_head.items())
    assert (folder / "toy/train.log").read_text().count("step 3: EOS loss") == 1, "one process speaks for both"


def poisoned_run(folder: Path) -> list[str]:
    """The EOS head is first used by the first process right after the batch whose loss is not finite in the second."""
    config = toy_runs(folder)
    overrides = [ACCUMULATION, "data.held_out_every=0", "steps=5", "save_every=5"]
    stream = dataclasses.replace(start(config(*overrides, f"out={folder / 'other'}")).stream, world=2)
    AcceleratorState._reset_state(reset_partial_state=True)
    positives = [int(stream.batch(number)["eos_labels"].sum()) for number in range(3)]
    assert positives[2] > 0
    return [*overrides, buffer_mode(sum(positives[:2]) + 1)]


def test_what_is_not_finite_in_one_process_is_skipped_by_both(folder: Path):
    out = folder / "poisoned"
    log = (out / "train.log").read_text()
    for count, step in enumerate((1, 2, 3), 1):
        assert f"step {step}: loss or gradient is not finite, batch skipped ({count} so far)" in log
    checkpoint = run_state.checkpoint_folder(out, 5)
    for process in range(2):
        state = torch.load(checkpoint / f"training_state--{process}.pt", weights_only=True)
        assert (state["step"], state["skipped"]) == (5, 3)
        assert {int(part["step"]) for part in state["optimizer"]["state"].values()} == {2}
    first, second = (torch.load(out / f"weights-{process}.pt", weights_only=True) for process in range(2))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert all(value.isfinite().all() for value in first.values())


def openvla_jobs(config: Path, folder: Path) -> list[dict[str, object]]:
    # Everything that a sharded run must gather at the right moment or keep in one place.
    overrides = [LORA, "model.backbone.film=true", "keyframe_weight=0.5", "data.held_out_every=2"]
    overrides += ["steps=2", "save_every=1"]
    jobs = []
    for sharded, kind in ((False, "copied"), (True, "sharded")):
        first, again = ([*overrides, f"out={folder / f'{kind}_{how}'}"] for how in ("whole", "stopped"))
        jobs += [
            job("whole", config, first, sharded=sharded),
            job("stopped", config, again, sharded=sharded, after=1),
            job("whole", config, again, sharded=sharded),
        ]
    in_bf16 = [*MODES["film, bf16"], "data.held_out_every=2", "steps=1", f"out={folder / 'bf16'}"]
    return [*jobs, job("whole", config, in_bf16, sharded=True)]


def test_two_processes_train_one_openvla_copied_or_sharded_and_resume(folder: Path):
    ends = {}
    for kind in ("copied", "sharded"):
        whole_and_resumed = [run_state.checkpoint_folder(folder / f"{kind}_{how}", 2) for how in ("whole", "stopped")]
        assert (whole_and_resumed[0] / "training_state--1.pt").exists(), "two processes, one run"
        ends[kind], resumed = map(checkpoints.weights, whole_and_resumed)
        checkpoints.assert_same(ends[kind], resumed)
        assert any(key.startswith("film:") for key in ends[kind])
        # EOS probabilities were asked of the whole model, by both runs the same.
        curves = [json.loads((end / "calibration.json").read_text()) for end in whole_and_resumed]
        assert curves[0] == curves[1] and read_openvla_config(whole_and_resumed[0]).eos.calibrated
    assert read_openvla_config(run_state.checkpoint_folder(folder / "bf16", 1)).eos.calibrated
    for key, tensor in ends["copied"].items():
        assert torch.allclose(ends["sharded"][key], tensor, atol=5e-3, rtol=0), key

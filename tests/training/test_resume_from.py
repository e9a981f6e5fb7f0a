"""Going on from any checkpoint of a run, in a folder of its own, and after a kill."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from substep_cli.grammar import main
from training.train import run_state
from training.train.config import FinetuneConfig
from training.train.finetune_substep import finetune, start, train

BUFFER = "eos={mode: buffer, buffer: {min_negative: 4, sample_negative: 4, min_positive: 1, sample_positive: 1}}"
MODES = {"direct": [], "buffer": [BUFFER]}
PATIENCE = 240.0  # s, for what takes a few


def state(folder: Path) -> dict[str, object]:
    """Weights, optimizer, buffer and counts of a checkpoint, by file and place in it; of tensors a digest."""
    files = [*folder.glob("*.safetensors"), *folder.glob("*.pt")]
    assert len(files) == 5
    parts = {f: load_file(f) if f.suffix == ".safetensors" else torch.load(f, weights_only=True) for f in files}
    return {f"{file.name} {key}": leaf for file, part in parts.items() for key, leaf in leaves(part)}


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, torch.Tensor):
        yield key, hashlib.sha256(value.numpy().tobytes()).hexdigest()
    elif isinstance(value, dict | list | tuple):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, f"{key}/{name}")
    else:
        yield key, value


def is_same(one: Path, other: Path) -> bool:
    return state(one) == state(other)


def copy_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def finished(toy_run) -> Callable[..., FinetuneConfig]:
    """``finished(…)``: the configuration of a run that has checkpoints of steps 1 to 4."""

    def run(*overrides: str) -> FinetuneConfig:
        config = toy_run("data.held_out_every=0", "save_every=1", "keep=10", *overrides)
        finetune(config)
        return config

    return run


def going_on(config: FinetuneConfig, step: int, out: str = "again", **changes) -> FinetuneConfig:
    folder = run_state.checkpoint_folder(config.out, step)
    return dataclasses.replace(config, resume_from=folder, out=config.out.with_name(out), **changes)


@pytest.mark.parametrize("mode", MODES)
def test_a_run_goes_on_from_an_earlier_checkpoint_as_if_later_ones_had_not_been_made(finished, mode: str):
    config = finished(*MODES[mode])
    before = copy_of(config.out)
    again = going_on(config, 2)
    last = finetune(again)
    assert [step for step, _ in run_state.checkpoints(again.out)] == [3, 4]
    for step in (3, 4):
        assert is_same(*(run_state.checkpoint_folder(out, step) for out in (config.out, again.out)))
    assert f"resuming from {again.resume_from}; changed since: " in (again.out / "train.log").read_text()
    assert last == run_state.checkpoint_folder(again.out, 4)
    assert copy_of(config.out) == before, "the run that it goes on from stays as it is"


def test_what_comes_after_is_another_run_and_not_the_later_checkpoints(finished):
    config = finished()
    rate = dataclasses.replace(config.optimizer, learning_rate=0.01)
    changed = going_on(config, 2, optimizer=rate)
    # What it would have been without the later checkpoints: a copy of the run without them.
    copy = dataclasses.replace(config, out=config.out.with_name("copy"), optimizer=rate)
    shutil.copytree(config.out, copy.out)
    for step in (3, 4):
        shutil.rmtree(run_state.checkpoint_folder(copy.out, step))
    end = finetune(changed)
    assert is_same(end, finetune(copy)) and not is_same(end, run_state.checkpoint_folder(config.out, 4))


def test_the_same_command_goes_on_from_what_it_has_made_itself(finished):
    config = finished()
    again = going_on(config, 1)
    run = start(again)
    run.config = dataclasses.replace(again, steps=2)
    train(run)
    shutil.rmtree(again.resume_from)  # is not needed any more
    assert is_same(finetune(again), run_state.checkpoint_folder(config.out, 4))
    assert [step for step, _ in run_state.checkpoints(again.out)] == [2, 3, 4]
    assert "resuming from " + str(run_state.checkpoint_folder(again.out, 2)) in (again.out / "train.log").read_text()


def test_a_folder_that_holds_another_run_is_refused_and_left_alone(finished):
    config = finished()
    finetune(going_on(config, 1, "first"))
    for out in (config.out.name, "first"):
        before = copy_of(config.out.with_name(out) / "checkpoints")
        with pytest.raises(ValueError, match=f"{out} holds a run that did not begin at resume_from .*step_0000002"):
            finetune(going_on(config, 2, out))
        assert copy_of(config.out.with_name(out) / "checkpoints") == before


def test_a_checkpoint_that_is_not_there_is_an_error_that_names_those_that_are(finished, tmp_path: Path, capsys):
    config = finished()
    shutil.rmtree(run_state.checkpoint_folder(config.out, 3))
    wanted = run_state.checkpoint_folder(config.out, 3)
    assert (
        main(
            [
                "train",
                "policy",
                str(tmp_path / "config.yaml"),
                "--resume-from",
                str(wanted),
                "--out",
                str(tmp_path / "again"),
            ]
        )
        == 2
    )
    there = "step_0000001, step_0000002, step_0000004"
    assert f"{wanted} is no checkpoint of a run; in {wanted.parent} are: {there}" in capsys.readouterr().err
    with pytest.raises(ValueError, match="step_0000004 is not before the last step, steps is 4"):
        finetune(going_on(config, 4))


def wait_for(condition: Callable[[], object], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.timeout(900)
def test_a_run_that_is_killed_goes_on_by_the_same_command_and_ends_the_same(toy_run, tmp_path: Path):
    overrides = ["data.held_out_every=0", "steps=60", "save_every=10", BUFFER]
    command = ["train", "policy", str(tmp_path / "config.yaml"), *(f"--{text}" for text in overrides)]
    whole = finetune(toy_run(*overrides, f"out={tmp_path / 'whole'}"))
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}"}
    environment["OMP_NUM_THREADS"] = str(torch.get_num_threads())  # another number of threads adds in another order
    output = tmp_path / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "substep_cli", *command],
            env=environment,
            stdout=file,
            stderr=file,
        )
    try:
        wait_for(lambda: run_state.checkpoints(tmp_path / "run"), process)
    finally:
        process.send_signal(signal.SIGKILL)
        code = process.wait(PATIENCE)
    assert code == -signal.SIGKILL, output.read_text()[-3000:]
    step, folder = run_state.checkpoints(tmp_path / "run")[-1]
    assert step < 60
    assert main(command) == 0
    assert f"resuming from {folder}; with the same configuration" in (tmp_path / "run" / "train.log").read_text()
    assert is_same(run_state.checkpoint_folder(tmp_path / "run", 60), whole)

"""Checkpoints of a training run: written whole or not at all, and what resuming needs beside the weights (S9)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import torch
from accelerate import Accelerator

from substep_policy.checkpoint import load_weights, save_model
from training.config import FinetuneConfig, write_config
from training.data import TrainingData
from training.objective import Objective

FOLDER = re.compile(r"step_(\d+)")


def checkpoint_folder(out: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` steps lies."""
    return out / "checkpoints" / f"step_{step:07d}"


def checkpoints(out: Path) -> list[tuple[int, Path]]:
    """Step and folder of every checkpoint of a run, in order."""
    folders = (out / "checkpoints").glob("step_*")
    return sorted((int(match[1]), path) for path in folders if (match := FOLDER.fullmatch(path.name)))


def save(
    accelerator: Accelerator,
    config: FinetuneConfig,
    data: TrainingData,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    step: int,
    skipped: int,
) -> Path:
    """Write a checkpoint, then drop the oldest beyond ``config.keep``. Every process takes part."""
    folder = checkpoint_folder(config.out, step)
    unfinished = folder.with_suffix(".unfinished")
    if accelerator.is_main_process:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        save_model(unfinished, config.checkpoint_model(), objective.model, step)
        data.save(unfinished)
        write_config(config, unfinished)
    accelerator.wait_for_everyone()
    state = {
        "step": step,
        "skipped": skipped,
        "optimizer": optimizer.state_dict(),
        "buffer": None if objective.buffer is None else objective.buffer.state_dict(),
        "scaler": None if accelerator.scaler is None else accelerator.scaler.state_dict(),
    }
    torch.save(state, unfinished / state_file(accelerator.process_index))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        for _, old in checkpoints(config.out)[: -config.keep]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()
    return folder


def restore(
    accelerator: Accelerator, folder: Path, objective: Objective, optimizer: torch.optim.Optimizer
) -> tuple[int, int]:
    """Weights, optimizer and EOS buffer as they were; -> steps done, batches skipped so far.

    Raises:
        CheckpointError: the weights do not fit.
        FileNotFoundError: the run had another number of processes.
    """
    load_weights(folder, objective.model)
    objective.train()
    path = folder / state_file(accelerator.process_index)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: resume with as many processes as the run had")
    state = torch.load(path, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(state["optimizer"])
    if objective.buffer is not None:
        objective.buffer.load_state_dict(state["buffer"], accelerator.device)
    if accelerator.scaler is not None and state["scaler"] is not None:
        accelerator.scaler.load_state_dict(state["scaler"])
    return state["step"], state["skipped"]


def state_file(process: int) -> str:
    return f"training_state--{process}.pt"

"""Checkpoints of a training run: written whole or not at all, and what resuming needs beside the weights."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor

from substep_policy.checkpoints.folder import find_component
from substep_policy.models.kind import kind_of
from substep_policy.models.model import SubstepModel
from training.data.build import TrainingData
from training.disk_room import check_room
from training.train.config import CONFIG_FILE, FinetuneConfig, read_config, write_config
from training.train.models import model_training, store_skills, store_threshold
from training.train.objective import Objective
from training.whole_file import flush_to_disk

log = logging.getLogger("training")
FOLDER = re.compile(r"step_(\d+)")
MAIN_PROCESS = 0
MODEL = "model."  # what an objective puts before the names of the model's weights


def checkpoint_folder(out: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` steps lies."""
    return out / "checkpoints" / f"step_{step:07d}"


def checkpoints(out: Path) -> list[tuple[int, Path]]:
    """Step and folder of every checkpoint of a run, in order."""
    folders = (out / "checkpoints").glob("step_*")
    return sorted((int(match[1]), path) for path in folders if (match := FOLDER.fullmatch(path.name)))


def checkpoint_to_resume(config: FinetuneConfig) -> Path | None:
    """What a run goes on from: its last checkpoint or, as long as there is none, ``resume_from``. None: from nothing.

    Raises:
        ValueError: ``resume_from`` is no checkpoint, or no step is left to do after it, or ``out`` holds a run that
            did not begin there: its checkpoints are neither gone on from nor written over.
    """
    wanted = config.resume_from
    last = _newest_whole(config.out)
    if wanted is None:
        return last
    if last is None:
        _check_begin(wanted, config.steps)
        return wanted
    begin = read_config(last / CONFIG_FILE).resume_from
    if begin is None or begin.resolve() != wanted.resolve():
        raise ValueError(
            f"out {config.out} holds a run that did not begin at resume_from {wanted}: give another out, and this one "
            f"stays as it is; without resume_from it goes on from its last checkpoint, {last.name}"
        )
    return last


def _newest_whole(out: Path) -> Path | None:
    """The last checkpoint that can be read; those after it are passed over, which is said."""
    for _, folder in reversed(checkpoints(out)):
        if not (why := damage(folder)):
            return folder
        log.warning("checkpoint %s is passed over: %s", folder, why)
    return None


def damage(folder: Path) -> str:
    """Why a checkpoint cannot be gone on from; empty where nothing is cut short."""
    if not (folder / state_file(MAIN_PROCESS)).is_file():
        return f"{state_file(MAIN_PROCESS)} is missing"
    for path in sorted(folder.glob("*.pt")):
        if not zipfile.is_zipfile(path):
            return f"{path.name} is cut short or damaged"
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "pt"):
                pass
        except SafetensorError as error:
            return f"{path.name} is cut short or damaged: {error}"
    return ""


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Raises: OSError: it cannot be written, whatever the library that writes calls that."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        free = shutil.disk_usage(folder.parent).free / 1e6
        why = f"{type(error).__name__}: {error}"
        raise OSError(f"checkpoint {folder} could not be written, {free:.0f} MB are free there: {why}") from error


def _check_begin(folder: Path, steps: int) -> None:
    """Raises: ValueError: ``folder`` is no checkpoint of a run, or not one before the last of ``steps``."""
    found = (path.parent.name for path in sorted(folder.parent.glob(f"*/{state_file(MAIN_PROCESS)}")))
    there = [name for name in found if FOLDER.fullmatch(name)]
    if folder.name not in there:
        raise ValueError(
            f"resume_from {folder} is no checkpoint of a run; in {folder.parent} are: {', '.join(there) or 'none'}"
        )
    if int(FOLDER.fullmatch(folder.name)[1]) >= steps:
        raise ValueError(f"resume_from {folder} is not before the last step, steps is {steps}: nothing is left to do")


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
    kind, folder = model_training(config), checkpoint_folder(config.out, step)
    weights, auxiliary, optimizer_state = whole_state(objective, optimizer)
    unfinished = folder.with_suffix(".unfinished")
    if accelerator.is_main_process:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with _writing(unfinished):
            kind.save(unfinished, weights, step)
            data.save(unfinished)
            store_skills(kind, unfinished, data.training.skills)
            if data.kept_threshold is not None:
                store_threshold(kind, unfinished, data.kept_threshold)
            write_config(config, unfinished)
    accelerator.wait_for_everyone()
    state = {
        "step": step,
        "skipped": skipped,
        "optimizer": optimizer_state,
        "auxiliary": auxiliary,
        "buffer": None if objective.buffer is None else objective.buffer.state_dict(),
        "scaler": None if accelerator.scaler is None else accelerator.scaler.state_dict(),
    }
    with _writing(unfinished):
        torch.save(state, unfinished / state_file(accelerator.process_index))
        flush_to_disk(unfinished / state_file(accelerator.process_index))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        with _writing(unfinished):
            flush_to_disk(unfinished)  # it counts once it is there to stay
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        for _, old in checkpoints(config.out)[: -config.keep]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()
    return folder


def check_room_for_checkpoints(config: FinetuneConfig, model: SubstepModel) -> None:
    """For those that are kept and the one that is being written: trained weights and the optimizer's two averages.

    Raises:
        OSError: the disk has no room for them.
    """
    trained = sum(item.numel() * item.element_size() for item in model.parameters() if item.requires_grad)
    steps = len(range(0, config.steps, config.save_every))
    count = max(1, min(config.keep + 1, steps) - len(checkpoints(config.out)))
    check_room(config.out, 3 * trained * count, "checkpoints")


def check_model(config: FinetuneConfig, model: SubstepModel, folder: Path) -> None:
    """What a run would begin with and cannot go on with.

    Raises:
        CheckpointError: a checkpoint of a run lacks one of its heads, which would begin anew unnoticed.
        ValueError: it has chunks of another length.
    """
    before, now = kind_of(folder).read_config(folder).chunk_length, config.model.chunk_length
    if before != now:
        raise ValueError(
            f"{folder} has chunks of {before} actions and model.chunk_length is {now}: start a run from its weights, "
            f"with another out and initial_checkpoint={folder}"
        )
    for name in model.heads:
        find_component(folder, name)


def restore_auxiliary(objective: Objective, folder: Path) -> None:
    """What is trained beside the model, as it was; before ``accelerator.prepare``, as the model's weights are.

    Raises:
        FileNotFoundError: the checkpoint has no state to resume from.
        ValueError: the run trained something else beside the model, or an older version wrote the checkpoint.
    """
    # Of a sharded run the main process alone has it whole.
    whole = _read_state(folder, MAIN_PROCESS, is_mapped=True)
    if "auxiliary" not in whole:
        raise ValueError(
            f"{folder} is from an older version, which did not keep what is trained beside the model, and cannot be "
            f"resumed: start a run from its weights, with another out and initial_checkpoint={folder}"
        )
    state = whole["auxiliary"]
    own = {key for key in objective.state_dict() if not key.startswith(MODEL)}
    if state.keys() != own:
        raise ValueError(
            f"{folder} was trained with {sorted(state) or 'nothing'} beside the model, this configuration has "
            f"{sorted(own) or 'nothing'}: keyframe_weight cannot be turned on or off in the middle of a run"
        )
    objective.load_state_dict(state, strict=False)


def restore(
    accelerator: Accelerator, folder: Path, objective: Objective, optimizer: torch.optim.Optimizer
) -> tuple[int, int]:
    """Optimizer and EOS buffer as they were, the weights being restored; -> steps done, batches skipped so far.

    Raises:
        FileNotFoundError: the run had another number of processes.
    """
    state = _read_state(folder, accelerator.process_index)
    if is_sharded(objective):
        # Not strict: adapters on layers that are never run, such as the last of the vision trunk, have no state.
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True, strict=False)
        set_optimizer_state_dict(objective, optimizer.optimizer, state["optimizer"], options=options)
    else:
        optimizer.load_state_dict(state["optimizer"])
    if objective.buffer is not None:
        objective.buffer.load_state_dict(state["buffer"], accelerator.device)
    if accelerator.scaler is not None and state["scaler"] is not None:
        accelerator.scaler.load_state_dict(state["scaler"])
    return state["step"], state["skipped"]


def _read_state(folder: Path, process: int, is_mapped: bool = False) -> dict[str, Any]:
    """What a process kept. ``is_mapped``: tensors are read when they are looked at, of which most may never be."""
    path = folder / state_file(process)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: resume with as many processes as the run had")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)


def is_sharded(objective: Objective) -> bool:
    """Weights are spread over the processes (FSDP), and with them the optimizer's state."""
    return any(isinstance(weight, DTensor) for weight in objective.parameters())


def whole_state(
    objective: Objective, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """The model's trained weights, those of what is trained beside it, and the optimizer's state.

    Of shards, the main process gets the whole and the others nothing. Every process takes part.
    """
    if is_sharded(objective):
        options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
        weights = get_model_state_dict(objective, options=options)
        optimizer_state = get_optimizer_state_dict(objective, optimizer.optimizer, options=options)
    else:
        weights, optimizer_state = objective.state_dict(), optimizer.state_dict()
    model = {key.removeprefix(MODEL): value for key, value in weights.items() if key.startswith(MODEL)}
    auxiliary = {key: value for key, value in weights.items() if not key.startswith(MODEL)}
    return model, auxiliary, optimizer_state


def state_file(process: int) -> str:
    return f"training_state--{process}.pt"

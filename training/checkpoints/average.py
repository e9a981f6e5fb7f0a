"""Averages the weights of several checkpoints: ``./substep checkpoint average FOLDER FOLDER --out OUT``.

Runs that began with the same weights often have a mean that does better than each of them (model soups, Wortsman et
al. 2022). Folders are of the compact model, a run's or exported ones; the mean is exported, and its EOS threshold is
to be calibrated anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from substep_core.configuration import dump
from substep_policy.checkpoints.plain import export_model
from substep_policy.checkpoints.tokenizer_file import TOKENIZER_FILE
from substep_policy.models.compact.checkpoints import CHECKPOINTS
from substep_policy.models.compact.model import CompactModelConfig
from substep_policy.models.normalization import STATISTICS_FILE
from training.train.config import CONFIG_FILE
from training.whole_file import write_whole

SHARED = (TOKENIZER_FILE, STATISTICS_FILE)  # weights mean something with these alone


def average(folders: Sequence[Path], out: Path) -> None:
    """Write the mean into ``out``; threshold and training configuration are the first folder's.

    Raises:
        ValueError: there is only one folder, ``out`` is one of them, or their models, tokenizers or statistics differ.
        CheckpointError: one is incomplete.
        OSError: a file cannot be read or written.
    """
    if len(folders) < 2:
        raise ValueError(f"{len(folders)} folder, a mean needs 2 or more")
    if out.resolve() in {folder.resolve() for folder in folders}:
        raise ValueError(f"{out} is one of the folders and would be written over: give another")
    first, *others = folders
    config, model = CHECKPOINTS.load(first)
    states = [model.state_dict()]
    for folder in others:
        other, loaded = CHECKPOINTS.load(folder)
        _check_alike(first, config, folder, other)
        states.append(loaded.state_dict())
    model.load_state_dict({name: _mean([state[name] for state in states]) for name in states[0]})
    export_model(out, replace(config, eos=replace(config.eos, calibrated=False)), model)
    for name in (*SHARED, CONFIG_FILE):
        write_whole(out / name, (first / name).read_text())


def _check_alike(first: Path, config: CompactModelConfig, folder: Path, other: CompactModelConfig) -> None:
    """Raises: ValueError: weights of the two do not mean the same."""
    if dump(replace(config, eos=other.eos)) != dump(other):
        raise ValueError(f"{first} and {folder} hold different models: compare their config.json")
    for name in SHARED:
        if (first / name).read_bytes() != (folder / name).read_bytes():
            raise ValueError(
                f"{name} of {first} and {folder} differ: expected runs from one initial_checkpoint, with "
                "data.statistics=initial_checkpoint"
            )


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    """Whole numbers, such as counts, are the first's."""
    return torch.stack(list(tensors)).mean(0) if tensors[0].is_floating_point() else tensors[0]

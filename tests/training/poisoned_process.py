"""A training in two processes, of which the second meets what is not finite.

With gradient accumulation 2: of the second process, batch 1 (the last of step 1) and batch 4 (the first of step 3) have
losses that are not finite; in step 2 the losses are finite and a gradient is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import torch

from training.data.transform import Batch, BatchStream
from training.train import finetune_substep
from training.train.config import read_config

POISONED_BATCHES = (1, 4)
stream_batch = BatchStream.batch


def poisoned_batch(stream: BatchStream, number: int) -> Batch:
    batch = stream_batch(stream, number)
    if stream.rank == 1 and number in POISONED_BATCHES:
        batch["proprio"] = batch["proprio"] * math.inf
    return batch


def poison_gradient(run: finetune_substep.Run) -> None:
    """Of the last batch of step 2 in the second process."""

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        is_now = run.step == 1 and run.accelerator.sync_gradients and run.accelerator.process_index == 1
        return gradient * math.nan if is_now else gradient

    run.objective.model.proprio_projector.fc1.weight.register_hook(spoil)


def train_poisoned(path: str, overrides: Sequence[str]) -> None:
    """Leaves the weights of every process in ``out/weights-N.pt``."""
    config = read_config(Path(path), overrides)
    with mock.patch.object(BatchStream, "batch", poisoned_batch), finetune_substep.run_log(config.out):
        run = finetune_substep.start(config)
        poison_gradient(run)
        finetune_substep.train(run)
        torch.save(run.objective.state_dict(), config.out / f"weights-{run.accelerator.process_index}.pt")
        run.accelerator.end_training()

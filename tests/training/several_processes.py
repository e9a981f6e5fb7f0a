"""Started by ``accelerate launch``: ``several_processes.py JOBS.json`` does one training after another.

A job: ``{"config": path, "overrides": […], "kind": a key of KINDS, …}`` and what that kind of job takes besides.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin, PartialState
from accelerate.state import AcceleratorState

from substep_cli.grammar import main as substep
from tests.training.poisoned_process import train_poisoned
from training.train import finetune_substep
from training.train.config import FinetuneConfig, read_config

CONFIGS = Path(finetune_substep.__file__).parents[1] / "configs"
make_accelerator = finetune_substep.make_accelerator


def sharding_accelerator(config: FinetuneConfig) -> Accelerator:
    """As the shipped ``configs/accelerate/fsdp.yaml`` has it.

    accelerate shards (FSDP) where there are GPUs only; PyTorch does it on a CPU too, so it is told to all the same.
    """
    accelerator = make_accelerator(config)
    settings = yaml.safe_load((CONFIGS / "accelerate/fsdp.yaml").read_text())["fsdp_config"]
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
        fsdp_version=settings["fsdp_version"],
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=settings["fsdp_transformer_layer_cls_to_wrap"].split(","),
        reshard_after_forward=settings["fsdp_reshard_after_forward"],
        state_dict_type=settings["fsdp_state_dict_type"],
        cpu_ram_efficient_loading=settings["fsdp_cpu_ram_efficient_loading"],
    )
    accelerator.state.distributed_type = DistributedType.FSDP
    if config.mixed_precision != "no":
        accelerator.state.fsdp_plugin.set_mixed_precision(config.mixed_precision)  # as accelerate does it
    finetune_substep.leave_precision_to_autocast(accelerator)
    return accelerator


def whole(path: str, overrides: Sequence[str]) -> None:
    """The command to its end, calibration included."""
    assert substep(["train", "policy", path, *(f"--{text}" for text in overrides)]) == 0


def stopped(path: str, overrides: Sequence[str], after: int) -> None:
    """As the command, until it is stopped after ``after`` steps."""
    config = read_config(Path(path), overrides)
    with finetune_substep.run_log(config.out):
        run = finetune_substep.start(config)
        run.config = read_config(Path(path), [*overrides, f"steps={after}"])
        finetune_substep.train(run)
        run.accelerator.end_training()


KINDS = {"whole": whole, "stopped": stopped, "poisoned": train_poisoned}


def main(jobs_path: str) -> None:
    torch.set_num_threads(1)
    # A run ends the processes' group; they cannot form a second one, and the next job needs it.
    PartialState.destroy_process_group = lambda state, group=None: None
    for job in json.loads(Path(jobs_path).read_text()):
        finetune_substep.make_accelerator = sharding_accelerator if job.get("sharded") else make_accelerator
        arguments = {"after": job["after"]} if "after" in job else {}
        KINDS[job["kind"]](job["config"], job["overrides"], **arguments)
        torch.distributed.barrier()
        AcceleratorState._reset_state(reset_partial_state=True)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])

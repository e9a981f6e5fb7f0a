"""``./substep checkpoint …``: what can be done with a policy's weights outside the graph."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from substep_cli.changes import Changes, read_changes
from substep_cli.grammar import UsageError
from substep_cli.options import Count, Dataset, Device, Json, Members
from substep_core.printable import show
from substep_policy.run_modes import Execution, Quantization

Checkpoint = Annotated[str, Parameter(help="the policy that ships (compact), a folder, or a hub id")]


def inspect(checkpoint: Checkpoint, /) -> int:
    """Say what a checkpoint holds, whether it fits, and what is missing.

    Reads shapes, not weights, so it takes seconds. Exit code 1: it cannot be loaded.
    """
    from substep_core.hub import CONFIG_FILE
    from substep_policy.checkpoints.inspection import inspect
    from substep_policy.registry import POLICIES

    folder = POLICIES.folder(checkpoint)
    if not (folder / CONFIG_FILE).is_file():
        raise UsageError(f"{folder} is no checkpoint: it has no {CONFIG_FILE}")
    report = inspect(folder)
    show(report)
    return 0 if report.fits else 1


def eos(
    checkpoint: Checkpoint,
    /,
    *changes: Changes,
    demonstrations: Path | None = None,
    episode: str | None = None,
    dataset: Dataset = None,
) -> None:
    """Print a checkpoint's EOS along a demonstration, one line a timestep.

    Args:
        demonstrations: folder of ./substep data collect; none: those that the checkpoint was trained with.
        episode: suite/task/episode_N; none: the first held out, or of the folder.
        changes: of the configuration it was trained with, as for train policy: --data.cache FOLDER.
    """
    overrides = read_changes(changes)

    from training.checkpoints.inspect_eos import inspect_demonstration, inspect_training

    if demonstrations is not None and overrides:
        raise ValueError("--demonstrations needs no configuration of a training: leave the other options out")
    if demonstrations is None and dataset is not None:
        raise ValueError("--dataset goes with --demonstrations: along its own ones a checkpoint has its training's")
    if demonstrations is None:
        lines = inspect_training(checkpoint, overrides, episode)
    else:
        lines = inspect_demonstration(checkpoint, demonstrations, episode, dataset)
    for line in lines:
        show(line)


def words(checkpoint: Path, /, *changes: Changes, every: Count = 10, threads: Count = 1, json: Json = None) -> None:
    """Say how often a checkpoint names the right next substep, on the held-out demonstrations of its training.

    Right means word for word. Frames up to 10 timesteps after a substep's end are counted on their own, and so are the
    last of each demonstration, where the task is done.

    Args:
        checkpoint: folder of a run's checkpoint, of a model that has words.
        every: timesteps between the frames that are looked at, but for those just named, which all are.
        threads: of the CPU; where other work has it, two that wait for each other take many times as long as one.
        changes: of the configuration it was trained with, as for train policy: --data.cache FOLDER.
    """
    overrides = read_changes(changes)

    import torch

    from training.checkpoints.words import word_scores, write_scores

    torch.set_num_threads(threads)
    scores = word_scores(checkpoint, overrides, every)
    for score in scores:
        print(score)
    if json is not None:
        write_scores(scores, json)


def calibrate(checkpoint: Path, /, *changes: Changes, threads: Count = 1) -> None:
    """Choose the EOS threshold on the held-out demonstrations of the data that a checkpoint was trained on.

    The threshold is stored in the checkpoint, and how all others did in its calibration.json.

    Args:
        checkpoint: folder.
        threads: of the CPU, as of words.
        changes: of the configuration it was trained with, as for train policy: --data.held-out-every 6.
    """
    overrides = read_changes(changes)

    import torch

    from training.checkpoints.load_run import calibrate_checkpoint

    torch.set_num_threads(threads)
    logging.getLogger().setLevel(logging.INFO)
    print(calibrate_checkpoint(checkpoint, overrides))


def average(*folders: Path, out: Path) -> None:
    """Average the weights of several checkpoints of the compact model.

    Args:
        folders: two or more, a run's or exported ones.
        out: folder of the mean, whose EOS threshold is to be calibrated anew.
    """
    from training.checkpoints.average import average

    average(folders, out)
    print(f"{out}: the mean of {len(folders)}; its EOS threshold is to be calibrated anew")


def export(checkpoint: Path, /, *, out: Path) -> None:
    """Make the folder of a policy from a run's checkpoint.

    A compact model: weights in half precision. An OpenVLA: adapters merged, in the published layout.

    Args:
        checkpoint: folder in a run's checkpoints.
        out: folder of the policy.
    """
    from training.checkpoints.export import export

    print(f"{out}: {export(checkpoint, out) / 1e6:.1f} MB")


def latency(
    checkpoint: Checkpoint,
    /,
    *,
    repeats: Count = 100,
    threads: Count = 1,
    device: Device = "auto",
    quantization: Annotated[Quantization, Members] = Quantization.NONE,
    execution: Annotated[Execution, Members] = Execution.EAGER,
    dataset: Dataset = None,
    json: Json = None,
) -> None:
    """Time a policy's chunk, batch 1: from images and proprioception to actions with EOS.

    Args:
        repeats: chunks that are timed.
        threads: of the CPU.
        quantization: of a large policy's network.
        execution: of a large policy's network.
    """
    import torch

    from substep_policy.benchmarks.policy_latency import benchmark_policy
    from substep_policy.registry import PolicySettings

    torch.set_num_threads(threads)
    settings = PolicySettings(device=device, quantization=quantization, execution=execution, dataset=dataset)
    report = benchmark_policy(checkpoint, checkpoint, settings, repeats)
    show(report)
    if json is not None:
        json.write_text(report.to_json() + "\n")

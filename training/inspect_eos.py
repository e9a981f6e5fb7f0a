"""Shows a checkpoint's EOS along a demonstration: ``python -m training.inspect_eos CHECKPOINT --episode KEY`` (T2).

One line a timestep: the EOS probability of each action of the chunk asked for there, where the policy finds EOS, and
where the substep truly ends. With action tokens, the EOS token's id too. The demonstration is one of those that the
checkpoint was trained with, or of a folder given with ``--demonstrations``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from substep_policy.chunk import NO_EOS, Chunk
from substep_policy.eos import EosSource
from substep_policy.model import ModelConfig
from substep_policy.observation import Observation
from substep_policy.openvla_model import OpenVLAModelConfig
from substep_policy.policy import Policy
from substep_policy.registry import POLICIES, PolicySettings
from training.config import CONFIG_FILE, model_of
from training.data import TrainingData
from training.dataset import SubstepDataset
from training.demonstrations import Demonstration, DemonstrationError, LiberoHdf5Source, ReadReport, read_demonstrations
from training.labels import LABELS_FILE, UNLABELLED, EpisodeLabels, SubstepLabels
from training.trained import Trained, check_has_eos, load_trained

RENDER_SIZE = 256  # of frames for models that scale them themselves


def describe_eos(config: ModelConfig | OpenVLAModelConfig) -> str:
    """Where EOS is read from, and by which rule."""
    eos = config.eos
    rule = "where it is the likeliest" if eos.threshold is None else f"threshold {eos.threshold}"
    origin = "calibrated" if eos.calibrated else "the default"
    text = f"EOS from {eos.source}, {rule} ({origin}), of several the {eos.choice}"
    if eos.source is EosSource.TOKEN:
        tokenizer = config.action_head.tokenizer if isinstance(config, ModelConfig) else config.tokenizer
        text += f"; EOS token id {tokenizer.eos_token_id} of {tokenizer.vocabulary_size} tokens"
    return text


def eos_line(timestep: int, chunk: Chunk, is_end: bool, instruction: str) -> str:
    """What a policy answers at a timestep, and whether the substep ends there."""
    shown = " ".join(f"{probability:.2f}" for probability in chunk.eos_probabilities)
    mark = "" if chunk.eos_index == NO_EOS else f" EOS at {timestep + chunk.eos_index}"
    return f"{timestep:4d} {shown}{mark}{' <- true end' if is_end else ''}  {instruction}"


def eos_lines(dataset: SubstepDataset, number: int, trained: Trained) -> Iterator[str]:
    """A line for every timestep of an episode."""
    truth = dataset.truths[number]
    for timestep in range(dataset.episodes[number].length):
        sample = dataset.sample(number, timestep)
        chunk = trained.chunk(trained.data.transform([sample]))
        yield eos_line(timestep, chunk, bool(truth.is_end[timestep]), sample.instruction)


def demonstration_lines(demonstration: Demonstration, labels: EpisodeLabels, policy: Policy) -> Iterator[str]:
    """The same of any demonstration and any policy, told each substep where it begins.

    Raises:
        DemonstrationError: the frames cannot be had.
        ValueError: a camera that the policy needs is missing.
    """
    frames, told = demonstration.frames(), None
    for timestep, index in enumerate(labels.substep_index):
        is_labelled = index != UNLABELLED
        instruction = labels.substeps[index].instruction.lower() if is_labelled else demonstration.instruction
        if told != index:
            policy.start_substep(instruction, demonstration.instruction)
            told = index
        images = {camera: views[timestep] for camera, views in frames.items()}
        chunk = policy.predict(Observation(images, demonstration.proprio[timestep]))
        yield eos_line(timestep, chunk, bool(labels.is_end[timestep]), instruction)


def find_episode(data: TrainingData, key: str | None) -> tuple[SubstepDataset, int]:
    """The episode of that key; without one the first held out, or the first of all.

    Raises:
        ValueError: there is no such episode.
    """
    datasets = [dataset for dataset in (data.held_out, data.training) if dataset is not None]
    if key is None:
        return datasets[0], 0
    for dataset in datasets:
        keys = [episode.key for episode in dataset.episodes]
        if key in keys:
            return dataset, keys.index(key)
    raise ValueError(f"there is no episode {key!r}; one of them is {datasets[0].episodes[0].key!r}")


def find_demonstration(folder: Path, key: str | None, size: int) -> tuple[Demonstration, EpisodeLabels]:
    """The demonstration of that key in a folder of ``./substep collect``, the first without one, and its labels.

    Args:
        size: side of frames that have to be rendered, in pixels.

    Raises:
        DemonstrationError: there are none, or a file before the wanted one is damaged.
        ValueError: there is none of that key, or it has no labels, or such of another length.
        OSError: the labels cannot be read.
    """
    path = folder / LABELS_FILE
    labels, first = SubstepLabels.load(path), None
    source = LiberoHdf5Source(path=folder, render_size=size)
    for demonstration in read_demonstrations([source], ReadReport(), skip_damaged=False):
        first = first or demonstration.key
        if key in (None, demonstration.key):
            break
    else:
        raise ValueError(f"there is no episode {key!r} in {folder}; one of them is {first!r}")
    found = labels.find(demonstration.suite, demonstration.task, demonstration.episode)
    if found is None or len(found) != len(demonstration):
        there = "no labels" if found is None else f"labels of {len(found)} timesteps, not of {len(demonstration)},"
        raise ValueError(f"{path} has {there} of {demonstration.key}: ./substep label makes them anew")
    return demonstration, found


def inspect_training(checkpoint: str, overrides: Sequence[str], key: str | None) -> Iterator[str]:
    """Lines about an episode that the checkpoint was trained with, or held out of them."""
    hint = "--demonstrations FOLDER shows EOS along others than those it was trained with"
    folder = POLICIES.folder(checkpoint)
    if not (folder / CONFIG_FILE).exists():
        raise ValueError(f"{folder} has no {CONFIG_FILE}; {hint}")
    try:
        trained = load_trained(folder, overrides)
    except DemonstrationError as error:
        raise ValueError(f"{error}; {hint}") from error
    yield describe_eos(trained.model_config)
    dataset, number = find_episode(trained.data, key)
    yield dataset.episodes[number].key
    yield from eos_lines(dataset, number, trained)


def inspect_demonstration(checkpoint: str, demonstrations: Path, key: str | None) -> Iterator[str]:
    """Lines about an episode of any folder of ``./substep collect``."""
    folder = POLICIES.folder(checkpoint)
    config = model_of(folder)
    check_has_eos(config, folder)
    size = config.preprocessing.image_size if isinstance(config, ModelConfig) else RENDER_SIZE
    demonstration, labels = find_demonstration(demonstrations, key, size)
    policy = POLICIES.load(checkpoint, PolicySettings(device="cpu"))
    yield describe_eos(config)
    yield demonstration.key
    yield from demonstration_lines(demonstration, labels, policy)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m training.inspect_eos", description=__doc__)
    parser.add_argument("checkpoint", help="folder of a checkpoint, or name of a policy that ships")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the configuration it was trained with")
    parser.add_argument(
        "--demonstrations",
        type=Path,
        metavar="FOLDER",
        help="of ./substep collect, not those it was trained with",
    )
    parser.add_argument("--episode", help="suite/task/episode_N (default: the first held out, or of FOLDER)")
    options = parser.parse_args(arguments)
    try:
        if options.demonstrations is None:
            lines = inspect_training(options.checkpoint, options.overrides, options.episode)
        elif options.overrides:
            raise ValueError("--demonstrations needs no configuration of a training: leave the overrides out")
        else:
            lines = inspect_demonstration(options.checkpoint, options.demonstrations, options.episode)
        for line in lines:
            print(line)
    except (ValueError, OSError) as error:
        print(f"inspect_eos: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

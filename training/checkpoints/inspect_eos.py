"""Prints a checkpoint's EOS probabilities along a demonstration.

One line a timestep: the EOS probability of each action of the chunk asked for there, where the policy finds EOS, and
where the substep truly ends. With action tokens, the EOS token's id too. The demonstration is one of those that the
checkpoint was trained with, or of a folder given with ``--demonstrations``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from substep_core.chunk import NO_EOS, Chunk
from substep_core.contract import RobotContract
from substep_core.observation import Observation
from substep_policy.eos import EosSource
from substep_policy.models.kind import ModelConfiguration, kind_of
from substep_policy.policy import Policy
from substep_policy.registry import POLICIES, PolicySettings
from training.checkpoints.load_run import Trained, check_has_eos, load_trained
from training.data.build import TrainingData
from training.data.dataset import SubstepDataset
from training.data.readers import Demonstration, DemonstrationError, LiberoHdf5Source, ReadReport, read_demonstrations
from training.labels.file import LABELS_FILE, UNLABELLED, EpisodeLabels, SubstepLabels
from training.train.config import CONFIG_FILE


def describe_eos(config: ModelConfiguration) -> str:
    """Where EOS is read from, and by which rule."""
    eos = config.eos
    rule = "where it is the likeliest" if eos.threshold is None else f"threshold {eos.threshold}"
    origin = "calibrated" if eos.calibrated else "the default"
    text = f"EOS from {eos.source}, {rule} ({origin}), of several the {eos.choice}"
    if eos.source is EosSource.TOKEN:
        tokenizer = config.action_head.tokenizer(config.vocabulary)
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


def find_demonstration(
    folder: Path, key: str | None, robot: RobotContract, size: int
) -> tuple[Demonstration, EpisodeLabels]:
    """The demonstration of that key in a folder of ``./substep data collect``, the first without one, and its labels.

    Args:
        robot: whose demonstrations they are.
        size: side of frames that have to be rendered, in pixels.

    Raises:
        DemonstrationError: there are none, or a file before the wanted one is damaged.
        ValueError: there is none of that key, or it has no labels, or such of another length.
        OSError: the labels cannot be read.
    """
    path = folder / LABELS_FILE
    labels, first = SubstepLabels.load(path), None
    source = LiberoHdf5Source(path=folder, render_size=size)
    for demonstration in read_demonstrations([source], robot, ReadReport(), skip_damaged=False):
        first = first or demonstration.key
        if key in (None, demonstration.key):
            break
    else:
        raise ValueError(f"there is no episode {key!r} in {folder}; one of them is {first!r}")
    found = labels.find(demonstration.suite, demonstration.task, demonstration.episode)
    if found is None or len(found) != len(demonstration):
        there = "no labels" if found is None else f"labels of {len(found)} timesteps, not of {len(demonstration)},"
        raise ValueError(f"{path} has {there} of {demonstration.key}: ./substep data label makes them anew")
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


def inspect_demonstration(
    checkpoint: str, demonstrations: Path, key: str | None, dataset: str | None = None
) -> Iterator[str]:
    """Lines about an episode of any folder of ``./substep data collect``.

    Args:
        dataset: whose statistics the checkpoint works with; None: the episode's suite's, or those of its only one.
    """
    folder = POLICIES.folder(checkpoint)
    config = kind_of(folder).read_config(folder)
    check_has_eos(config, folder)
    demonstration, labels = find_demonstration(demonstrations, key, config.robot, config.render_size)
    settings = PolicySettings(device="cpu", dataset=dataset)
    policy = POLICIES.load(checkpoint, POLICIES.settings_for(checkpoint, settings, demonstration.suite))
    yield describe_eos(config)
    yield demonstration.key
    yield from demonstration_lines(demonstration, labels, policy)

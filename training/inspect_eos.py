"""Shows a checkpoint's EOS along a demonstration: ``python -m training.inspect_eos CHECKPOINT --episode KEY`` (T2).

One line a timestep: the EOS probability of each action of the chunk asked for there, where the policy finds EOS, and
where the substep truly ends. With action tokens, the EOS token's id too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from substep_policy.chunk import NO_EOS
from substep_policy.eos import EosSource
from substep_policy.model import ModelConfig, SubstepModel
from substep_policy.openvla_model import OpenVLAModelConfig
from training.data import TrainingData
from training.dataset import SubstepDataset
from training.trained import Trained, load_trained


def describe_eos(config: ModelConfig | OpenVLAModelConfig, model: SubstepModel) -> str:
    """Where EOS is read from, and by which rule."""
    eos = config.eos
    rule = "where it is the likeliest" if eos.threshold is None else f"threshold {eos.threshold}"
    origin = "calibrated" if eos.calibrated else "the default"
    text = f"EOS from {eos.source}, {rule} ({origin}), of several the {eos.choice}"
    if eos.source is EosSource.TOKEN:
        tokenizer = model.action_head.tokenizer
        text += f"; EOS token id {tokenizer.eos_token_id} of {tokenizer.vocabulary_size} tokens"
    return text


def eos_lines(dataset: SubstepDataset, number: int, trained: Trained) -> Iterator[str]:
    """A line for every timestep of an episode."""
    truth = dataset.truths[number]
    for timestep in range(dataset.episodes[number].length):
        sample = dataset.sample(number, timestep)
        chunk = trained.chunk(trained.data.transform([sample]))
        shown = " ".join(f"{probability:.2f}" for probability in chunk.eos_probabilities)
        mark = "" if chunk.eos_index == NO_EOS else f" EOS at {timestep + chunk.eos_index}"
        end = " <- true end" if truth.is_end[timestep] else ""
        yield f"{timestep:4d} {shown}{mark}{end}  {sample.instruction}"


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


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m training.inspect_eos", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the configuration it was trained with")
    parser.add_argument("--episode", help="suite/task/episode_N (default: the first held out)")
    options = parser.parse_args(arguments)
    try:
        trained = load_trained(options.checkpoint, options.overrides)
        print(describe_eos(trained.model_config, trained.model))
        dataset, number = find_episode(trained.data, options.episode)
        print(dataset.episodes[number].key)
        for line in eos_lines(dataset, number, trained):
            print(line)
    except (ValueError, OSError) as error:
        print(f"inspect_eos: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

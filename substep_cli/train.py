"""``./substep train …``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from substep_cli.changes import Changes, read_changes
from substep_cli.options import Count

Language = Literal["en", "de", "es", "zh"]


def policy(config: Path, /, *changes: Changes) -> None:
    """Fine-tune a policy with an EOS head.

    Every key of the file is an option as well, with the names of nested keys joined by dots; values are YAML:
    --steps 1000 --optimizer.batch-size 32 --data.labels null. What names another kind (type or mode) replaces the whole
    of what it stands in: --eos.mode buffer. All keys and their defaults: training/train/config.py.

    The same command again goes on from the last checkpoint. Several GPUs or machines:
    ./substep exec accelerate launch -m substep_cli train policy CONFIG.yaml.

    Args:
        config: YAML file, see training/configs.
        changes: keys of the file that are to be otherwise.
    """
    overrides = read_changes(changes)

    from training.train.config import read_config
    from training.train.finetune_substep import finetune

    print(finetune(read_config(config, overrides)))


def completion(*changes: Changes, frames: Path, calibration: Path, out: Path) -> None:
    """Train the completion model, calibrate its threshold, and write it to the folder model of the run.

    Every key of CompletionTraining in training/completion/train.py is an option as well, as for train policy:
    --steps 300 --optimizer.batch-size 32. The same command again goes on from the last state.

    Args:
        frames: folder of ./substep data frames to train on.
        calibration: folder of ./substep data frames --every-step.
        out: folder of the run.
        changes: keys of the configuration that are to be otherwise.
    """
    overrides = read_changes(changes)

    from substep_core.configuration import dump, parse
    from training.completion.train import CompletionTraining, train
    from training.train.config import override, read_overrides

    content = override(dump(CompletionTraining()), read_overrides(overrides))
    settings = parse(CompletionTraining, content, "command line")
    started = time.monotonic()
    folder = train(settings, frames, calibration, out)
    print(f"{folder} after {time.monotonic() - started:.0f} s")


def planner(*, language: Language = "en", sentences: Count = 12_000, seed: int = 7, out: Path) -> None:
    """Train the planner's embedded language model on sentences drawn from its templates; takes seconds.

    How sure it must be is fitted on sentences with words and turns of phrase that it never met.

    Args:
        language: whose words, training/planner/wordings_….yaml and things_….yaml.
        sentences: drawn.
        out: the model's file, for the planner's parameter grounding_model.
    """
    from training.planner.counts import write
    from training.planner.lexicon import load
    from training.planner.model import make

    write(out, make(seed, sentences, load(language)))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB from {sentences} sentences")


def word_meanings(*, wordnet: Path, out: Path) -> None:
    """Make the table of what English words mean, by which the planner understands words that it was never taught.

    Args:
        wordnet: folder of WordNet's data.noun and index.noun: /usr/share/wordnet of Debian's package wordnet-base.
        out: the table's file, substep_planner/data/grounding/meanings_en.tsv.xz for the one that ships.
    """
    from training.planner.word_meanings import make_meanings

    made = make_meanings(wordnet)
    made.save(out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {len(made)} names of things")


def action_tokenizer(config: Path, /, *changes: Changes, type: str, out: Path) -> None:
    """Fit an action tokenizer to a policy's data, and measure what it loses beside 256 bins and FAST.

    Keys of the file that say what the data are, data.… and model.…, are options as well, and so is every key of the
    tokenizer's own configuration (training/action_tokenizer): --steps 3000 --network.layers 4, or --scale 20. The same
    command again goes on from the last state.

    Args:
        config: YAML file of a policy's training, whose demonstrations and chunks are to be tokenized.
        type: rfsq, fast, or an installed one.
        out: folder of the tokenizer.
        changes: keys that are to be otherwise.
    """
    overrides = read_changes(changes)

    from training.action_tokenizer.command import fit_tokenizer

    print(fit_tokenizer(config, type, out, overrides))

"""How often a checkpoint names the right substep on the held-out demonstrations of its training.

Also in the frames that are the hard ones: those right after a substep's end, where the scene has to say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from training.checkpoints.load_run import load_weights_and_data
from training.data.dataset import EpisodeTruth, SubstepDataset
from training.data.transform import SubstepTransform
from training.intervals import wilson

AFTER_END = 10  # timesteps in which a substep has just ended (0.5 s)
BATCH = 32
ALL = "all"


@dataclass(frozen=True)
class WordScore:
    """Of one suite or all: ``right`` of ``frames``, and the same of those right after an end and of the last ones."""

    suite: str
    frames: int
    right: int
    frames_after_end: int
    right_after_end: int
    frames_done: int
    right_done: int

    def __str__(self) -> str:
        parts = [
            f"{name} {_share(right, count)}"
            for name, right, count in (
                ("right", self.right, self.frames),
                ("just after an end", self.right_after_end, self.frames_after_end),
                ("task done", self.right_done, self.frames_done),
            )
        ]
        return f"{self.suite:<16} " + ", ".join(parts)


@dataclass(frozen=True)
class _Frame:
    episode: int
    timestep: int
    after_end: bool
    is_last: bool


def word_scores(checkpoint: Path, overrides: Sequence[str] = (), every: int = 10) -> list[WordScore]:
    """A score for each suite and for all.

    Args:
        overrides: of the configuration it was trained with.
        every: how many timesteps apart frames are, but for those right after an end and the last, which all count.

    Raises:
        ValueError: the model has no words, nothing is held out, or the checkpoint does not fit its configuration.
        OSError: a file cannot be read.
    """
    _, data, model = load_weights_and_data(checkpoint, overrides)
    if not hasattr(model, "words_right"):
        raise ValueError(f"{checkpoint} names no substeps, its model has no words")
    if data.held_out is None:
        raise ValueError("no demonstration is held out: set data.held_out_every")
    frames = [frame for number in range(len(data.held_out.episodes)) for frame in _frames(data.held_out, number, every)]
    if not frames:
        raise ValueError("no held-out demonstration has labels, so no words are right")
    right = _judge(model, data.held_out, data.transform, frames)
    suites = [data.held_out.episodes[frame.episode].suite for frame in frames]
    return [_score(suite, frames, right, suites) for suite in (*dict.fromkeys(sorted(suites)), ALL)]


def write_scores(scores: Sequence[WordScore], path: Path) -> None:
    path.write_text(json.dumps([asdict(score) for score in scores], indent=2) + "\n", encoding="utf-8")


def _frames(dataset: SubstepDataset, episode: int, every: int) -> Iterator[_Frame]:
    """Those that are looked at of an episode."""
    truth = dataset.truths[episode]
    ended = _ended(truth)
    last = len(ended) - 1
    for timestep in range(last + 1):
        is_last = timestep == last and truth.is_finished
        if truth.next_substep(timestep) and (timestep % every == 0 or ended[timestep] or is_last):
            yield _Frame(episode, timestep, bool(ended[timestep]), is_last)


def _ended(truth: EpisodeTruth) -> np.ndarray:
    """(T,) bool: a substep ended at most ``AFTER_END`` timesteps before."""
    ended = np.zeros(len(truth.number), bool)
    for end in np.flatnonzero(truth.is_end[:-1]):
        ended[end + 1 : end + 1 + AFTER_END] = True
    return ended


@torch.inference_mode()
def _judge(model, dataset: SubstepDataset, transform: SubstepTransform, frames: Sequence[_Frame]) -> np.ndarray:
    """(N,) bool: the right words, in float32 as a policy on a processor has them."""
    found = []
    for first in range(0, len(frames), BATCH):
        samples = [dataset.sample(frame.episode, frame.timestep) for frame in frames[first : first + BATCH]]
        # of a joint prompt, what is shown to the actions is what is to be said
        asked = [replace(sample, instruction=sample.next_substep) for sample in samples]
        found.append(model.words_right(transform(asked)).numpy())
    return np.concatenate(found)


def _score(suite: str, frames: Sequence[_Frame], right: np.ndarray, suites: Sequence[str]) -> WordScore:
    here = np.array([suite in (ALL, found) for found in suites])
    after = here & [frame.after_end for frame in frames]
    last = here & [frame.is_last for frame in frames]
    counts = [int(part.sum()) for among in (here, after, last) for part in (among, among & right)]
    return WordScore(suite, *counts)


def _share(right: int, count: int) -> str:
    if not count:
        return "-"
    low, high = wilson(right, count)
    return f"{right / count:.1%} ({right} of {count}, {low:.0%} to {high:.0%})"

"""Chooses the EOS threshold on held-out demonstrations and stores it in the checkpoint.

A threshold is judged by what a run would do with it, see ``training.checkpoints.eos_score``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm import tqdm

from substep_policy.eos import EosChoice, EosRule, find_eos
from training.checkpoints.eos_score import TOLERANCE, EndCounts, count_ends
from training.data.dataset import Sample, SubstepDataset
from training.data.transform import Batch, SubstepTransform
from training.train.models import ModelTraining, store_threshold
from training.whole_file import write_whole

BATCH = 16
THRESHOLDS = np.round(np.concatenate([[0.005, 0.01, 0.02], np.linspace(0.03, 0.97, 95), [0.98, 0.99, 0.995]]), 3)
CALIBRATION_FILE = "calibration.json"

EosReader = Callable[[Batch], Tensor]  # model inputs, on the CPU -> EOS probabilities (B, C)


@dataclass(frozen=True)
class EosScore:
    """Precision, recall and F1 of predicted substep ends, at one threshold."""

    threshold: float
    precision: float
    recall: float
    f1: float
    premature: float  # share of substeps ended too early
    missed: float  # share of substeps whose end was not found in time


@dataclass(frozen=True)
class Calibration:
    """The chosen threshold's score and that of every other."""

    chosen: EosScore
    substeps: int
    curve: tuple[EosScore, ...]

    def __str__(self) -> str:
        best = self.chosen
        return (
            f"EOS threshold {best.threshold:g}: precision {best.precision:.3f}, recall {best.recall:.3f}, "
            f"F1 {best.f1:.3f} within ±{TOLERANCE} timesteps on {self.substeps} held-out substeps "
            f"({best.premature:.1%} premature, {best.missed:.1%} missed)"
        )


@dataclass(frozen=True)
class SubstepProbabilities:
    """EOS probabilities (L + TOLERANCE or fewer, C) asked at every timestep of a substep of L timesteps, and shortly
    after it with the same instruction."""

    probabilities: np.ndarray
    length: int


def score(substeps: Sequence[SubstepProbabilities], threshold: float, choice: EosChoice) -> EosScore:
    """How well the ends of ``substeps`` are found."""
    counts = EndCounts()
    for substep in substeps:
        indices = find_eos(substep.probabilities, EosRule(threshold, choice))
        counts += count_ends(indices, substep.length, chunk_length=substep.probabilities.shape[1])
    trials = max(counts.trials, 1)
    rates = counts.premature / trials, counts.missed / trials
    return EosScore(float(threshold), counts.precision, counts.recall, counts.f1, *rates)


def choose_threshold(substeps: Sequence[SubstepProbabilities], choice: EosChoice) -> Calibration:
    """The best F1; of several thresholds just as good, the middle one.

    Raises:
        ValueError: there are no substeps.
    """
    if not substeps:
        raise ValueError("there are no held-out substeps to calibrate the EOS threshold on")
    curve = tuple(score(substeps, threshold, choice) for threshold in THRESHOLDS)
    best = max(entry.f1 for entry in curve)
    as_good = [entry for entry in curve if entry.f1 >= best - 1e-9]
    return Calibration(as_good[len(as_good) // 2], len(substeps), curve)


def probabilities(
    dataset: SubstepDataset, transform: SubstepTransform, read_eos: EosReader
) -> list[SubstepProbabilities]:
    """EOS probabilities of every substep of a data set, from a model as a policy would use it."""
    found = []
    for number, truth in enumerate(tqdm(dataset.truths, desc="calibrate", unit="demo")):
        start = 0
        for end in np.flatnonzero(truth.is_end):
            last = min(end + TOLERANCE, dataset.episodes[number].length - 1)
            samples = [dataset.sample(number, t, shown=min(t, end)) for t in range(start, last + 1)]
            found.append(SubstepProbabilities(_probabilities(samples, transform, read_eos), end - start + 1))
            start = end + 1
    return found


def _probabilities(samples: Sequence[Sample], transform: SubstepTransform, read_eos: EosReader) -> np.ndarray:
    parts = [read_eos(transform(samples[first : first + BATCH])) for first in range(0, len(samples), BATCH)]
    return np.concatenate([part.cpu().numpy() for part in parts])


def calibrate(
    dataset: SubstepDataset, transform: SubstepTransform, read_eos: EosReader, choice: EosChoice
) -> Calibration:
    """Choose the threshold of a model, in ``eval()``, on ``dataset``."""
    return choose_threshold(probabilities(dataset, transform, read_eos), choice)


def write_calibration(folder: Path, result: Calibration, kind: ModelTraining) -> None:
    """Write the threshold, and how all others did, into a checkpoint."""
    write_whole(folder / CALIBRATION_FILE, json.dumps(asdict(result), indent=1) + "\n")
    store_threshold(kind, folder, result.chosen.threshold)

"""Chooses the threshold of a completion model on held-out demonstrations and stores it with the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from substep_planner.completion.compact_model import load_completion_model, write_completion_config
from substep_planner.completion.compact_scorer import CompactScorer
from training.checkpoints.calibrate import CALIBRATION_FILE, THRESHOLDS
from training.completion.frames import ShownEpisode
from training.completion.scores import RIGHT, EndScores, SubstepScores, end_scores, score_episodes


@dataclass(frozen=True)
class CompletionCalibration:
    """The chosen threshold's figures and those of every other."""

    chosen: EndScores
    curve: tuple[EndScores, ...]

    def __str__(self) -> str:
        best = self.chosen
        return (
            f"completion threshold {best.threshold:g}: F1 {best.f1:.3f} of ends within ±{RIGHT} steps on "
            f"{best.substeps} held-out substeps ({best.premature:.1%} premature, {best.missed:.1%} missed), "
            f"{best.fooled:.1%} of failed ones taken for done, median delay {best.median_delay:g} steps"
        )


def choose_threshold(substeps: Sequence[SubstepScores]) -> CompletionCalibration:
    """The best F1 of ends; of several thresholds just as good, the middle one.

    Raises:
        ValueError: there are no substeps.
    """
    if not any(not substep.failed for substep in substeps):
        raise ValueError("there are no held-out substeps to calibrate the completion threshold on")
    curve = tuple(end_scores(substeps, float(threshold)) for threshold in THRESHOLDS)
    best = max(entry.f1 for entry in curve)
    as_good = [entry for entry in curve if entry.f1 >= best - 1e-9]
    return CompletionCalibration(as_good[len(as_good) // 2], curve)


def calibrate(folder: Path, episodes: Sequence[ShownEpisode]) -> CompletionCalibration:
    """Choose the threshold on ``episodes`` and write it into the model's configuration.

    Raises:
        ValueError: an episode is not shown at every step, or none is.
    """
    if sparse := [episode.outline for episode in episodes if episode.density != "every"]:
        place = f"{sparse[0].suite}/{sparse[0].task}/{sparse[0].episode}"
        raise ValueError(f"{place} is not shown at every step: render it with --every-step")
    substeps, _ = score_episodes(CompactScorer(folder, "cpu"), episodes)
    result = choose_threshold(substeps)
    config, _, _ = load_completion_model(folder)
    write_completion_config(folder, replace(config, threshold=result.chosen.threshold, calibrated=True))
    (folder / CALIBRATION_FILE).write_text(json.dumps(asdict(result.chosen), indent=1) + "\n")
    return result

"""Measures completion scorers: ``./substep bench completion FRAMES``.

FRAMES are held-out episodes at every step (``./substep data collect --split evaluation --widened 1``, then
``./substep data frames --every-step``). One line a suite: AUROC and F1 of frames, and how the ends of substeps are
noticed by the planner's default watching (every control step, 3 frames in a row).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from substep_planner.completion.registry import CompletionSettings, load_scorer
from substep_planner.completion.scorer import CompletionScorer
from training.completion.frames import ShownEpisode, read_shown
from training.completion.scores import EndScores, FrameScores, SubstepScores, auroc, end_scores, f1, score_episodes

ALL = "all"


@dataclass(frozen=True)
class SuiteFigures:
    """Figures of a scorer on a suite.

    Attributes:
        auroc: of frames shortly after a substep's end against all others; before, failed, other: against one kind.
        f1: of frames at the scorer's threshold.
        ends: how ends are noticed at that threshold.
    """

    suite: str
    auroc: float
    auroc_before: float
    auroc_failed: float
    auroc_other: float
    f1: float
    ends: EndScores


HEADER = (
    "suite           AUROC  before  failed  other     F1  | ends  F1     premature  missed  fooled  delay mean  median"
)


def measure(scorer: CompletionScorer, episodes: Sequence[ShownEpisode]) -> list[SuiteFigures]:
    """Figures of every suite, and of all together."""
    substeps, frames = score_episodes(scorer, tqdm(episodes, desc=scorer.name, unit="episode"))
    together = FrameScores()
    for suite in frames.values():
        for kind, scores in vars(suite).items():
            getattr(together, kind).extend(scores)
    found = [
        _figures(suite, frames[suite], [substep for substep in substeps if substep.suite == suite], scorer.threshold)
        for suite in sorted(frames)
    ]
    return [*found, _figures(ALL, together, substeps, scorer.threshold)]


def _figures(suite: str, frames: FrameScores, substeps: Sequence[SubstepScores], threshold: float) -> SuiteFigures:
    return SuiteFigures(
        suite,
        auroc(frames.done, frames.not_done),
        auroc(frames.done, frames.before),
        auroc(frames.done, frames.failed),
        auroc(frames.done, frames.other),
        f1(frames.done, frames.not_done, threshold),
        end_scores(substeps, threshold),
    )


def describe(figures: SuiteFigures) -> str:
    """A line under ``HEADER``."""
    ends = figures.ends
    return (
        f"{figures.suite:15} {figures.auroc:5.3f}   {figures.auroc_before:5.3f}   {figures.auroc_failed:5.3f}  "
        f"{figures.auroc_other:5.3f}  {figures.f1:5.3f}  | {ends.substeps:4d}  {ends.f1:5.3f}  {ends.premature:9.1%}  "
        f"{ends.missed:6.1%}  {ends.fooled:6.1%}  {ends.mean_delay:10.1f}  {ends.median_delay:6g}"
    )


def report(folder: Path, scorers: Sequence[str], model: str, measure_name: str, json_file: Path | None) -> None:
    """Print the figures of every scorer on the episodes of a folder.

    Args:
        model: of the scorers, as in ``CompletionSettings``.
        measure_name: of contrastive scorers.
        json_file: also gets the figures.

    Raises:
        ValueError: there are no episodes, or no such scorer.
    """
    episodes = read_shown(folder)
    if not episodes:
        raise ValueError(f"there are no episodes in {folder}")
    found = {}
    for name in scorers:
        scorer = load_scorer(name, CompletionSettings(model, "cpu", measure_name))
        found[name] = measure(scorer, episodes)
        print(f"{scorer.name}, threshold {scorer.threshold:g}\n{HEADER}")
        print("\n".join(map(describe, found[name])))
    if json_file is not None:
        figures = {name: [asdict(suite) for suite in suites] for name, suites in found.items()}
        json_file.write_text(json.dumps(figures, indent=1) + "\n")

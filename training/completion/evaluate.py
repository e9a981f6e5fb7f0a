"""Measures completion scorers: ``python -m training.completion.evaluate FRAMES [--scorer NAME …]``.

FRAMES are held-out episodes at every step (``./substep collect --split evaluation --widened 1``, then
``training.completion.frames --every-step``). One line a suite: AUROC and F1 of frames, and how the ends of substeps are
noticed by the planner's default watching (every control step, 3 frames in a row).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from substep_planner.completion.registry import DEFAULT_SCORER, SCORERS, CompletionSettings, load_scorer
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m training.completion.evaluate", description=__doc__)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--scorer", nargs="+", default=[DEFAULT_SCORER], choices=tuple(SCORERS), metavar="NAME")
    parser.add_argument("--model", default="", help="of the scorer: hub id, folder or its own name")
    parser.add_argument("--measure", default="cosine", help="of contrastive scorers: cosine or sigmoid")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args(arguments)
    try:
        episodes = read_shown(options.frames)
        if not episodes:
            raise ValueError(f"there are no episodes in {options.frames}")
        found = {}
        for name in options.scorer:
            scorer = load_scorer(name, CompletionSettings(options.model, "cpu", options.measure))
            found[name] = measure(scorer, episodes)
            print(f"{scorer.name}, threshold {scorer.threshold:g}\n{HEADER}")
            print("\n".join(map(describe, found[name])))
        if options.json is not None:
            figures = {name: [asdict(suite) for suite in suites] for name, suites in found.items()}
            options.json.write_text(json.dumps(figures, indent=1) + "\n")
    except (ValueError, OSError) as error:
        print(f"completion figures: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

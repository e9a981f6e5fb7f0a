"""Scores every frame of held-out episodes with a completion scorer, and summarises them as figures."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import rankdata

from substep_planner.completion.debounce import Debounce
from substep_planner.completion.scorer import CompletionScorer
from training.checkpoints.calibrate import TOLERANCE
from training.completion.frame_selection import AFTER, SHOWN_AFTER
from training.completion.frames import ShownEpisode
from training.completion.pairs import is_other

DEBOUNCE_FRAMES = 3  # in a row, one a control step, as the planner's defaults have it
RIGHT = 5  # steps by which an end may be noticed too early or too late


@dataclass(frozen=True)
class SubstepScores:
    """Scores of one substep while it was watched, from its beginning to ``AFTER`` steps after its end.

    Attributes:
        first: offset of the first of them from the first frame in which the substep was done.
        failed: the effect was prevented, so that it never was.
    """

    suite: str
    scores: np.ndarray
    first: int
    failed: bool

    def noticed(self, threshold: float) -> int | None:
        """Offset at which the planner would take the substep for done, or None: never."""
        debounce = Debounce(threshold, DEBOUNCE_FRAMES)
        verdicts = (debounce.update(score) for score in self.scores)
        return next((self.first + number for number, done in enumerate(verdicts) if done), None)


@dataclass
class FrameScores:
    """Scores of frames that do and do not show what they are asked for. Frames within ``TOLERANCE`` steps before an end
    are neither.

    Attributes:
        done: up to ``SHOWN_AFTER`` steps after the end.
        before: the substep's own frames; failed: the same motion without its effect; other: another substep's end.
    """

    done: list[float] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)

    @property
    def not_done(self) -> list[float]:
        return self.before + self.failed + self.other


def score_episodes(
    scorer: CompletionScorer, episodes: Iterable[ShownEpisode]
) -> tuple[list[SubstepScores], dict[str, FrameScores]]:
    """Scores of every substep, and of frames by suite."""
    substeps: list[SubstepScores] = []
    frames: dict[str, FrameScores] = {}
    for episode in episodes:
        _score_episode(scorer, episode, substeps, frames.setdefault(episode.outline.suite, FrameScores()))
    return substeps, frames


def _score_episode(
    scorer: CompletionScorer, episode: ShownEpisode, substeps: list[SubstepScores], frames: FrameScores
) -> None:
    outline = episode.outline
    scorer.begin_plan(outline.substeps)
    positions = {int(frame): position for position, frame in enumerate(episode.numbers)}

    def score(frame: int, index: int) -> float:
        return scorer.score(episode.views(positions[frame]), index)

    asked = range(len(outline.ends)) if outline.failed is None else [outline.failed]
    for index in asked:
        done = outline.ends[index] + 1
        watched = range(outline.first_frame(index), done + AFTER + 1)
        scores = np.array([score(frame, index) for frame in watched])
        offsets = np.array(watched) - done
        substeps.append(SubstepScores(outline.suite, scores, int(offsets[0]), outline.failed is not None))
        if outline.failed is not None:
            frames.failed += scores.tolist()
            continue
        frames.done += scores[(offsets >= 0) & (offsets <= SHOWN_AFTER)].tolist()
        frames.before += scores[offsets < -TOLERANCE].tolist()
        for other in range(len(outline.ends)):
            if other != index and outline.truth(done, other) == 0.0:
                if is_other(outline.substeps[other], outline.substeps[index]):
                    frames.other += [score(done + offset, other) for offset in range(SHOWN_AFTER + 1)]


def auroc(done: Sequence[float], not_done: Sequence[float]) -> float:
    """Chance that a frame of the first kind scores higher than one of the second; NaN where one kind is missing."""
    if not done or not not_done:
        return float("nan")
    ranks = rankdata(np.concatenate([done, not_done]))[: len(done)]
    return float((ranks.sum() - len(done) * (len(done) + 1) / 2) / (len(done) * len(not_done)))


def f1(done: Sequence[float], not_done: Sequence[float], threshold: float) -> float:
    """Of frames at a threshold."""
    right = int((np.array(done) >= threshold).sum())
    wrong = int((np.array(not_done) >= threshold).sum())
    return 2 * right / max(right + wrong + len(done), 1)


@dataclass(frozen=True)
class EndScores:
    """How the ends of substeps are noticed at one threshold.

    Attributes:
        f1: of ends noticed within ``RIGHT`` steps.
        premature: share of substeps noticed earlier than that; missed: not at all within ``AFTER`` steps.
        fooled: share of failed substeps taken for done.
        mean_delay, median_delay: steps, of all that were not premature; negative: before the end.
    """

    threshold: float
    substeps: int
    f1: float
    premature: float
    missed: float
    fooled: float
    mean_delay: float
    median_delay: float


def end_scores(substeps: Sequence[SubstepScores], threshold: float) -> EndScores:
    """Figures of ``substeps`` at a threshold."""
    whole = [substep.noticed(threshold) for substep in substeps if not substep.failed]
    failed = [substep.noticed(threshold) for substep in substeps if substep.failed]
    premature = sum(delay is not None and delay < -RIGHT for delay in whole)
    delays = [delay for delay in whole if delay is not None and delay >= -RIGHT]
    right = sum(delay <= RIGHT for delay in delays)
    fooled = sum(delay is not None for delay in failed)
    claimed = len(delays) + premature + fooled
    return EndScores(
        threshold=threshold,
        substeps=len(whole),
        f1=2 * right / max(claimed + len(whole), 1),
        premature=premature / max(len(whole), 1),
        missed=sum(delay is None for delay in whole) / max(len(whole), 1),
        fooled=fooled / len(failed) if failed else float("nan"),
        mean_delay=statistics.fmean(delays) if delays else float("nan"),
        median_delay=statistics.median(delays) if delays else float("nan"),
    )

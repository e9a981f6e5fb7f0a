"""Fits how likely a reading is to be right, on sentences with words and turns of phrase that the model never met.

A seventh of all templates and words is taken away, a model is made from the rest, and reads sentences that are drawn
from all of them. What its evidence says there of being right is what the shipped model's says of people's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from substep_planner.decomposers.grounding.reader import MarkovReader
from substep_planner.decomposers.grounding.reading import Evidence, Reading
from substep_planner.decomposers.grounding.request import CANNOT, is_possible
from substep_planner.decomposers.grounding.score import features
from training.planner.counts import count
from training.planner.example import Example
from training.planner.lexicon import Lexicon
from training.planner.sentences import Sentences

TAKEN_AWAY = 1 / 7
_UNFITTED = (0.0,) * 5
_RIDGE = 1.0


@dataclass(frozen=True)
class Judged:
    """A reading that would be acted on, and whether it is right."""

    evidence: Evidence
    probability: float
    is_right: bool


def fit(lexicon: Lexicon, seed: int, sentences: int, read: int) -> tuple[float, ...]:
    """Weights for ``score``. Args: read: how many sentences."""
    reader = MarkovReader({**count(seed, sentences // 3, lexicon.thinned(TAKEN_AWAY, seed)), "score": _UNFITTED})
    judged = tuple(judge(reader, Sentences(seed + 1, lexicon), read))
    rows = np.stack([features(one.evidence) for one in judged])
    return tuple(round(float(weight), 4) for weight in _logistic(rows, np.array([one.is_right for one in judged])))


def judge(reader: MarkovReader, sentences: Sentences, number: int) -> Iterator[Judged]:
    """Read so many sentences; what is refused whatever the score is has no part in it."""
    for _ in range(number):
        example = sentences.draw()
        try:
            reading = reader.read(" ".join(example.words), example.categories)
        except ValueError:
            continue
        if would_act(reading):
            yield Judged(reading.evidence, reading.probability, _is_right(reading, example))


def would_act(reading: Reading) -> bool:
    """Whether nothing but a low score would keep a reading from being acted on."""

    has_all = bool(reading.steps) and None not in reading.entities
    return has_all and not reading.excluded and all(map(is_possible, reading.steps))


def _is_right(reading: Reading, example: Example) -> bool:
    asked = [step for step in example.steps if step.action != CANNOT]
    return sorted(map(_key, reading.steps)) == sorted(map(_key, asked))


def _key(step) -> str:
    return repr((step.action, step.thing, step.preposition, step.place))


def _logistic(rows: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(F,) weights by Newton's method, with a little ridge. Args: rows: (N, F); right: (N,) bool."""
    weights = np.zeros(rows.shape[1])
    for _ in range(30):
        chances = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (right - chances) - _RIDGE * weights
        curve = (rows * (chances * (1 - chances))[:, None]).T @ rows + _RIDGE * np.eye(len(weights))
        weights = weights + np.linalg.solve(curve, slope)
    return weights


def reliability(judged: Iterable[tuple[float, bool]], edges=(0.0, 0.25, 0.5, 0.75, 0.9, 0.97, 1.0)) -> list[tuple]:
    """(from, to, number, mean score, share right) of every range of scores that something fell in."""
    rows = sorted(judged)
    found = []
    for low, high in zip(edges, edges[1:], strict=False):
        inside = [(score, right) for score, right in rows if low <= score < high or score == high == 1.0]
        if inside:
            scores, rights = zip(*inside, strict=True)
            found.append((low, high, len(inside), float(np.mean(scores)), float(np.mean(rights))))
    return found


def calibration_error(bins: list[tuple]) -> float:
    """Expected calibration error: how far score and share right are apart, weighted by number."""
    total = sum(number for _, _, number, _, _ in bins)
    return sum(number * abs(score - right) for _, _, number, score, right in bins) / total

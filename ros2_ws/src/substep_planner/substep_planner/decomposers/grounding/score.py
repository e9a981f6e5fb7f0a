"""How likely a reading is to be right: a logistic regression on what the model knows of its own reading.

Its weights are fitted on sentences with words and turns of phrase that the model has never met, since its own
probabilities are far too sure of itself there (training/planner/calibration.py). Source: Platt 1999.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from substep_planner.decomposers.grounding.reading import Evidence

_SUREST, _UNSUREST = 1 - 1e-4, 1e-6
_STRANGEST = -12.0  # log probability a word


def features(evidence: Evidence) -> np.ndarray:
    """(5,): a one, and what speaks for or against a reading."""
    certainty = min(max(evidence.certainty, _UNSUREST), _SUREST)
    odds = np.log(certainty / (1 - certainty))
    likelihood = max(evidence.likelihood, _STRANGEST)
    return np.array([1.0, odds, likelihood, evidence.unknown, float(evidence.steps - 1)])


def probability(evidence: Evidence, weights: Sequence[float]) -> float:
    """That all of a reading is right.

    Args:
        weights: (5,) of the features.
    """
    return float(1 / (1 + np.exp(-features(evidence) @ np.asarray(weights))))

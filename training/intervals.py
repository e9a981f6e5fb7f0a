"""Confidence intervals of success rates."""

from __future__ import annotations


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a success rate, lower and upper bound in [0, 1] (Wilson 1927).

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    from scipy.stats import binomtest  # a second to import, and most processes make no interval

    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)

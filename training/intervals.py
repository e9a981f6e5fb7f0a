"""Confidence intervals of success rates and of medians."""

from __future__ import annotations

from collections.abc import Sequence


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a success rate, lower and upper bound in [0, 1] (Wilson 1927).

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    from scipy.stats import binomtest  # a second to import, and most processes make no interval

    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a median, whatever the distribution: two order statistics (Conover, Practical Nonparametric
    Statistics, 1999, section 3.2).

    Raises:
        ValueError: fewer values than such an interval takes, which is 6 at 95 %.
    """
    from scipy.stats import binom

    ordered, count = sorted(values), len(values)
    below = sum(bool(binom.cdf(number, count, 0.5) <= (1 - confidence) / 2) for number in range(count))
    if below == 0:
        raise ValueError(f"{count} values are too few for an interval of their median at {confidence:.0%}")
    return ordered[below - 1], ordered[count - below]

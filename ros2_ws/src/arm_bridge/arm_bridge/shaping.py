"""Shapes what is wished into velocities that keep every limit, and from which the robot can always be stopped.

A wish is limited in speed and in acceleration, and then averaged over N control steps. The average of N velocities
that change by at most a·dt changes its own change by at most 2a·dt/N, so that N = 2a / (jerk·dt) bounds the jerk too,
in vectors of any width and whatever is wished. A step is only taken if the stop that could follow it keeps the robot
within its places; where none of the tries does, that stop, known to be good from the step before, is what is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

TRIES = (0.5, 0.25)  # of the wish
SLACK = 1e-9  # a wish on a limit is not beyond it
HUGE = 1e100  # squares of what is larger may not be finite

Blocked = Callable[[np.ndarray], np.ndarray]  # path (K, W), from where the robot is -> (W,) which values leave a limit


@dataclass(frozen=True)
class VectorLimits:
    """Neighbouring velocities whose length as a vector is limited.

    Attributes:
        speed, acceleration, jerk: in the block's unit and s.
    """

    width: int
    speed: float
    acceleration: float
    jerk: float = math.inf


@dataclass(frozen=True)
class ShapedStep:
    """What is commanded for one control period.

    Attributes:
        velocity: (W,) for this period.
        braking: (M, W) for the periods after it, if nothing else came: it ends in zero.
        is_stop: it is one of the stop, which must leave wherever the robot is.
    """

    velocity: np.ndarray
    braking: np.ndarray
    is_stop: bool = False

    @property
    def velocities(self) -> np.ndarray:
        """(1 + M, W)"""
        return np.concatenate([self.velocity[None], self.braking])


class Shaper:
    """Turns wishes (W,) into steps. It begins at rest.

    Args:
        blocks: of the vector, in its order.
        period: s of a control step.
    """

    def __init__(self, blocks: Sequence[VectorLimits], period: float) -> None:
        self._period = period
        widths = [block.width for block in blocks]
        self.width = sum(widths)
        self._begins = np.cumsum([0, *widths[:-1]])
        self._block_of = np.repeat(np.arange(len(widths)), widths)  # each value's
        self._speeds = np.array([block.speed for block in blocks])
        self._changes = np.array([block.acceleration for block in blocks]) * period
        needed = (2 * block.acceleration / (block.jerk * period) for block in blocks)
        self.steps = max(1, *(math.ceil(number - SLACK) for number in needed))  # that are averaged
        self.rest()

    def rest(self) -> None:
        """The robot stands still, whatever was commanded before."""
        self._recent = np.zeros((self.steps, self.width))

    @property
    def velocity(self) -> np.ndarray:
        """(W,) as commanded last."""
        return self._recent.mean(axis=0)

    @property
    def pending(self) -> np.ndarray:
        """(W,) way that the averages still make of what was wished before."""
        parts = np.arange(self.steps)[:, None] / self.steps  # the newest has been averaged once
        return (parts * self._recent).sum(axis=0) * self._period

    @property
    def is_at_rest(self) -> bool:
        return not self._recent.any()

    def next(self, wish: np.ndarray, start: np.ndarray, blocked: Blocked) -> ShapedStep:
        """One control step towards a wish.

        Args:
            wish: (W,) velocity.
            start: (W,) where the robot is.
            blocked: says of a path which of its values leave the places where they may be.
        """
        newest = self._limited(wish)
        step = self._look(newest)
        out = blocked(self._path(start, step))
        if not out.any():
            return self._take(newest, step)
        for slower in (np.where(out, 0.0, wish), *(part * wish for part in TRIES)):  # the first along the wall
            newest = self._limited(slower)
            step = self._look(newest)
            if not blocked(self._path(start, step)).any():
                return self._take(newest, step)
        return self.brake()

    def brake(self) -> ShapedStep:
        """One control step of the stop."""
        newest = self._limited(np.zeros(self.width))
        return replace(self._take(newest, self._look(newest)), is_stop=True)

    def _path(self, start: np.ndarray, step: ShapedStep) -> np.ndarray:
        path = start + np.cumsum(step.velocities, axis=0) * self._period
        return np.concatenate([start[None], path])

    def _look(self, newest: np.ndarray) -> ShapedStep:
        """The step that a limited wish leads to, and the stop after it."""
        ramp = self._ramp(newest)
        line = np.concatenate([self._recent[1:], newest[None], ramp, np.zeros((self.steps, self.width))])
        sums = np.cumsum(np.concatenate([np.zeros((1, self.width)), line]), axis=0)
        velocities = (sums[self.steps :] - sums[: -self.steps]) / self.steps
        velocities[-1] = 0.0  # sums of differences leave a rest
        return ShapedStep(velocities[0], velocities[1:])

    def _take(self, newest: np.ndarray, step: ShapedStep) -> ShapedStep:
        self._recent = np.concatenate([self._recent[1:], newest[None]])
        return step

    def _limited(self, wish: np.ndarray) -> np.ndarray:
        """The nearest to a wish that speed and acceleration allow, direction kept."""
        last = self._recent[-1]
        change = self._shortened(np.asarray(wish, float), self._speeds) - last
        return last + self._shortened(change, self._changes)

    def _ramp(self, newest: np.ndarray) -> np.ndarray:
        """(R, W) straight down to zero, as fast as accelerations allow."""
        lengths = self._lengths(newest)
        counts = np.ceil(lengths / self._changes - SLACK)
        each = self._changes / np.maximum(lengths, SLACK * self._changes)
        rest = np.maximum(0.0, 1 - np.arange(1, int(counts.max()) + 1)[:, None] * each)
        return rest[:, self._block_of] * newest

    def _shortened(self, vector: np.ndarray, longest: np.ndarray) -> np.ndarray:
        """(W,), each block at most as long as its part of ``longest``, direction kept."""
        shares = longest / np.maximum(self._lengths(vector), longest)
        return vector * shares[self._block_of]

    def _lengths(self, vector: np.ndarray) -> np.ndarray:
        """(B,) of each block of values (W,)."""
        if np.abs(vector).max() < HUGE:
            return np.sqrt(np.add.reduceat(vector * vector, self._begins))
        largest = np.maximum(1.0, np.maximum.reduceat(np.abs(vector), self._begins))
        return largest * np.sqrt(np.add.reduceat((vector / largest[self._block_of]) ** 2, self._begins))

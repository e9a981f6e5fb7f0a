"""Scores frames for the active substep, and says when enough of them in a row show its effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from substep_core.keys import SubstepKey
from substep_core.plan import Substep
from substep_core.units import NANOSECONDS
from substep_planner.completion.debounce import Debounce
from substep_planner.completion.scorer import CompletionScorer
from substep_planner.manager.events import FrameScored


@dataclass(frozen=True)
class WatchSettings:
    """How frames are looked at.

    Attributes:
        threshold: score from which a frame counts; None: the scorer's own.
        frames: in a row that must count.
        rate: frames scored per second of world time, at most; None: every one, as often as the robot has them.
    """

    threshold: float | None = None
    frames: int = 3
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not self.rate > 0:
            raise ValueError(f"rate is {self.rate} Hz, expected more than 0")

    @property
    def period(self) -> float:
        """ns of world time from one frame to the next, at least."""
        return 1.0 if self.rate is None else NANOSECONDS / self.rate


class FrameScorer:
    """One substep at a time, told by ``watch``. Frames are those of ``cameras``."""

    def __init__(self, scorer: CompletionScorer, settings: WatchSettings) -> None:
        self.cameras = scorer.cameras
        self._scorer = scorer
        self._period = settings.period
        threshold = scorer.threshold if settings.threshold is None else settings.threshold
        self._debounce = Debounce(threshold, settings.frames)
        self._plan: tuple[Substep, ...] | None = None
        self._key: SubstepKey | None = None
        self._last_stamp: int | None = None

    def watch(self, key: SubstepKey, plan: tuple[Substep, ...]) -> None:
        """Look for the effect of substep ``key.index``. Another attempt at it goes on where the last one was."""
        if plan != self._plan:
            self._plan = plan
            self._scorer.begin_plan(plan)
        if self._key is None or place_of(key) != place_of(self._key):
            self._last_stamp = None
            self._debounce.reset()
        self._key = key

    def is_due(self, stamp: int) -> bool:
        """Whether a frame of world time ``stamp`` (ns) comes late enough after the last one."""
        return is_due(stamp, self._last_stamp, self._period)

    def is_new(self, stamp: int) -> bool:
        """Whether the frame was not scored yet: when the world stands still its last frame is scored all the same."""
        return stamp != self._last_stamp

    def score(self, images: Mapping[str, np.ndarray], stamp: int) -> FrameScored:
        """The score of the cameras' (H, W, 3) uint8 images of world time ``stamp`` (ns), and whether it is done."""
        self._last_stamp = stamp
        similarity = self._scorer.score(images, self._key.index)
        return FrameScored(self._key, stamp, similarity, self._debounce.update(similarity))


def is_due(stamp: int, last: int | None, period: float) -> bool:
    """Whether a frame comes late enough after the last one; one from before it: time has jumped back. All in ns."""
    return last is None or not last <= stamp < last + period


def place_of(key: SubstepKey) -> tuple[str, int]:
    """Another attempt at a substep is the same place: what was seen before still counts."""
    return key.plan_id, key.index

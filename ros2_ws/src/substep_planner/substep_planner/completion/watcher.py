"""Scores the newest frame at a given rate in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from substep_planner.completion.debounce import Debounce
from substep_planner.completion.scorer import CompletionScorer
from substep_planner.plan import Substep
from substep_planner.task_events import FrameScored
from substep_policy.request_desk import SubstepKey

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class WatchSettings:
    """How frames are looked at.

    Attributes:
        threshold: score from which a frame counts; None: the scorer's own.
        frames: in a row that must count.
        rate: frames scored per second of world time, at most.
    """

    threshold: float | None = None
    frames: int = 3
    rate: float = 20.0

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"rate is {self.rate} Hz, expected more than 0")


@dataclass(frozen=True)
class _Watched:
    key: SubstepKey
    plan: tuple[Substep, ...]


@dataclass(frozen=True)
class _Frame:
    stamp: int
    images: Callable[[], Mapping[str, np.ndarray]]
    arrived: float


class CompletionWatcher:
    """Watches for the end of one substep at a time.

    A frame that follows the last one too closely waits for a newer one, but no longer than a period of wall time: when
    the world stands still, its last frame is scored all the same.

    Args:
        scored: told of every scored frame, in the watcher's thread.
        failed: told of an exception that ended the thread, once.
    """

    def __init__(
        self,
        scorer: CompletionScorer,
        settings: WatchSettings,
        scored: Callable[[FrameScored], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._scorer = scorer
        self._period = 1.0 / settings.rate
        threshold = scorer.threshold if settings.threshold is None else settings.threshold
        self._debounce = Debounce(threshold, settings.frames)
        self._scored = scored
        self._failed = failed
        self._condition = threading.Condition()
        self._watched: _Watched | None = None
        self._frame: _Frame | None = None
        self._last_stamp: int | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="completion", daemon=True)
        self._thread.start()

    def watch(self, key: SubstepKey, plan: tuple[Substep, ...]) -> None:
        """From now on look for the effect of substep ``key.index`` of the plan. What waits from another is dropped."""
        with self._condition:
            if self._watched is None or _place(self._watched.key) != _place(key):
                self._frame = self._last_stamp = None
            self._watched = _Watched(key, plan)

    def rest(self) -> None:
        """Nothing is to be looked for."""
        with self._condition:
            self._watched = self._frame = None

    def offer(self, stamp: int, images: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """What the scorer's cameras saw at world time ``stamp`` (ns); ``images`` is called only if that is scored."""
        with self._condition:
            if self._watched is not None and stamp != self._last_stamp:  # the bridge repeats itself when it waits
                self._frame = _Frame(stamp, images, time.monotonic())
                self._condition.notify()

    def stop(self) -> None:
        """End the thread after the frame that it is at. May be called twice."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        watched: _Watched | None = None
        plan: tuple[Substep, ...] | None = None
        try:
            while (work := self._next()) is not None:
                now_watched, frame = work
                if now_watched.plan != plan:
                    plan = now_watched.plan
                    self._scorer.begin_plan(plan)
                if watched is None or _place(now_watched.key) != _place(watched.key):
                    self._debounce.reset()
                watched = now_watched
                similarity = self._scorer.score(frame.images(), watched.key.index)
                self._scored(FrameScored(watched.key, frame.stamp, similarity, self._debounce.update(similarity)))
        except Exception as error:  # the border of the thread: nothing may vanish here
            self._failed(error)

    def _next(self) -> tuple[_Watched, _Frame] | None:
        """The next frame to be scored; None at the end."""
        with self._condition:
            while not self._stopping:
                wait = self._time_until_due()
                if wait == 0.0:
                    frame, self._frame = self._frame, None
                    self._last_stamp = frame.stamp
                    return self._watched, frame
                self._condition.wait(wait)
            return None

    def _time_until_due(self) -> float | None:
        """s until the newest frame is to be scored; None while there is no frame."""
        if self._frame is None:
            return None
        if self._last_stamp is None or self._frame.stamp - self._last_stamp >= self._period * NANOSECONDS:
            return 0.0
        return max(0.0, self._frame.arrived + self._period - time.monotonic())


def _place(key: SubstepKey) -> tuple[str, int]:
    """Another attempt at a substep is the same place: what was seen before still counts."""
    return key.plan_id, key.index

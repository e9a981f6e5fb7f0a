"""Scores the newest frame at a given rate in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from substep_core.errors import PlanningError
from substep_core.keys import SubstepKey
from substep_core.plan import Substep
from substep_core.units import NANOSECONDS
from substep_planner.completion.frame_scorer import FrameScorer, WatchSettings, is_due, place_of
from substep_planner.completion.scorer import CompletionScorer
from substep_planner.manager.events import FrameScored

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Watched:
    key: SubstepKey
    plan: tuple[Substep, ...]


@dataclass(frozen=True)
class _Frame:
    stamp: int
    images: Callable[[], Mapping[str, np.ndarray]]
    arrived: float


def _images_of(frame: _Frame) -> Mapping[str, np.ndarray] | None:
    """None where a message is no image; anybody may publish on a camera's topic."""
    try:
        return frame.images()
    except ValueError as error:
        log.warning("a frame is not scored: %s", error)
        return None


class CompletionWatcher:
    """Watches for the end of one substep at a time.

    A frame that follows the last one too closely waits for a newer one, but no longer than a period of wall time: when
    the world stands still, its last frame is scored all the same.

    Args:
        scored: told of every scored frame, in the watcher's thread.
        unanswered: told, there too, why whom the scorer asks gave no answer; it goes on with the next frame.
        failed: told of another exception, which ended the thread, once.
    """

    def __init__(
        self,
        scorer: CompletionScorer,
        settings: WatchSettings,
        scored: Callable[[FrameScored], None],
        unanswered: Callable[[PlanningError], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._frames = FrameScorer(scorer, settings)
        self._period = settings.period / NANOSECONDS
        self._scored, self._unanswered = scored, unanswered
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
            if self._watched is None or place_of(self._watched.key) != place_of(key):
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
        try:
            while (work := self._next()) is not None:
                watched, frame = work
                self._frames.watch(watched.key, watched.plan)
                if (images := _images_of(frame)) is not None:
                    self._score(images, frame.stamp)
        except Exception as error:  # the border of the thread: nothing may vanish here
            self._failed(error)

    def _score(self, images: Mapping[str, np.ndarray], stamp: int) -> None:
        try:
            scored = self._frames.score(images, stamp)
        except PlanningError as error:
            self._unanswered(error)
        else:
            self._scored(scored)

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
        if is_due(self._frame.stamp, self._last_stamp, self._period * NANOSECONDS):
            return 0.0
        return max(0.0, self._frame.arrived + self._period - time.monotonic())

"""The planner's completion scorer on the frames of a world in lockstep."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from substep_planner.completion.debounce import Debounce
from substep_planner.completion.scorer import CompletionScorer
from substep_planner.completion.watcher import NANOSECONDS, WatchSettings
from substep_planner.plan import Substep
from substep_planner.task_events import Activate


class FrameScorer:
    """Scores and debounces frames as ``CompletionWatcher`` does, without its thread. It wants those of ``cameras``."""

    def __init__(self, scorer: CompletionScorer, settings: WatchSettings) -> None:
        self.cameras = scorer.cameras
        self._scorer = scorer
        self._period = NANOSECONDS / settings.rate
        threshold = scorer.threshold if settings.threshold is None else settings.threshold
        self._debounce = Debounce(threshold, settings.frames)
        self._plan: tuple[Substep, ...] = ()
        self._place: tuple[str, int] | None = None
        self._last_stamp: int | None = None

    def watch(self, command: Activate) -> None:
        """Look for the effect of this substep. Another attempt at it goes on where the last one was."""
        if command.plan != self._plan:
            self._plan = command.plan
            self._scorer.begin_plan(command.plan)
        place = (command.key.plan_id, command.key.index)
        if place != self._place:
            self._place, self._last_stamp = place, None
            self._debounce.reset()

    def is_due(self, stamp: int) -> bool:
        """Whether a frame of world time ``stamp`` (ns) comes late enough after the last one."""
        return self._last_stamp is None or stamp - self._last_stamp >= self._period

    def is_new(self, stamp: int) -> bool:
        """Whether the frame was not scored yet: when the world stands still its last frame is scored all the same."""
        return stamp != self._last_stamp

    def score(self, images: Mapping[str, np.ndarray], stamp: int, index: int) -> tuple[float, bool]:
        """Score of the cameras' (H, W, 3) uint8 images for substep ``index``, and whether it is held to be done."""
        self._last_stamp = stamp
        similarity = self._scorer.score(images, index)
        return similarity, self._debounce.update(similarity)

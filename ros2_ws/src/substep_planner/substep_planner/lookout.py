"""Shows the completion scorer every moment that all of its cameras have seen, while a substep is active."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sensor_msgs.msg import Image

from substep_core.errors import PlanningError
from substep_core.keys import SubstepKey
from substep_core.plan import Substep
from substep_core.ros.messages import image_from_message, to_nanoseconds
from substep_planner.cameras import Cameras
from substep_planner.completion.frame_scorer import WatchSettings
from substep_planner.completion.scorer import CompletionScorer
from substep_planner.completion.views import CameraViews
from substep_planner.completion.watcher import CompletionWatcher
from substep_planner.manager.events import FrameScored


class Lookout:
    """A ``CompletionWatcher`` on the cameras' topics, between ``start`` and ``stop``.

    Args:
        scored, unanswered, failed: as of the watcher.
    """

    def __init__(
        self,
        cameras: Cameras,
        scorer: CompletionScorer,
        settings: WatchSettings,
        scored: Callable[[FrameScored], None],
        unanswered: Callable[[PlanningError], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.scorer, self.views = scorer, CameraViews(scorer.cameras)
        self._new_watcher = partial(CompletionWatcher, scorer, settings, scored, unanswered, failed)
        self._watcher: CompletionWatcher | None = None
        for camera in scorer.cameras:
            cameras.see(camera, partial(self._on_image, camera))

    def start(self) -> None:
        self._watcher = self._new_watcher()

    def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None

    def watch(self, key: SubstepKey, plan: tuple[Substep, ...]) -> None:
        """Look for the effect of substep ``key.index`` of the plan."""
        if self._watcher is not None:
            self._watcher.watch(key, plan)

    def rest(self) -> None:
        """Nothing is to be looked for."""
        if self._watcher is not None:
            self._watcher.rest()

    def _on_image(self, camera: str, message: Image) -> None:
        watcher = self._watcher
        if watcher is None:
            return
        stamp = to_nanoseconds(message.header.stamp)
        if (views := self.views.add(camera, stamp, message)) is not None:
            watcher.offer(stamp, lambda: {name: image_from_message(view, name) for name, view in views.items()})

"""What the planner costs per moment seen, without the scorer's model: ``python -m substep_planner.benchmark``.

A moment is what two cameras see. It goes its whole way: serialised images, deserialisation, putting together, mailbox,
debouncing, event, state machine, feedback message.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Mapping
from functools import partial

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from substep_planner.completion.views import CameraViews
from substep_planner.completion.watcher import CompletionWatcher, WatchSettings
from substep_planner.decomposers.base import SourcedPlan
from substep_planner.decomposers.rules.decomposer import plan_by_rules
from substep_planner.planner_messages import feedback_to_message
from substep_planner.substep_manager import ManagerSettings, SubstepManager
from substep_planner.switch_rules import make_switch_rule
from substep_planner.task_events import Activate, FrameScored, MakePlan, PlanMade, Report
from substep_policy.messages import image_from_message, image_to_message, to_nanoseconds, to_time

FRAMES = 500
STEP = 50_000_000  # ns of world time between frames


class NoModel:
    """Scores at no cost, always below the threshold."""

    name = "none"
    cameras = ("agentview", "eye_in_hand")
    threshold = 0.5

    def begin_plan(self, substeps) -> None: ...

    def score(self, images: Mapping[str, np.ndarray], index: int) -> float:
        return 0.25


def _running_manager() -> tuple[SubstepManager, Activate]:
    manager = SubstepManager(
        ManagerSettings(), make_switch_rule("either"), "put the milk in the basket", "t", None, 0.0
    )
    (request,) = manager.start(0.0)
    assert isinstance(request, MakePlan)
    commands = manager.handle(PlanMade(request, SourcedPlan(plan_by_rules(request.instruction), "rules")), 0.0)
    return manager, next(command for command in commands if isinstance(command, Activate))


def _views(messages: Mapping[str, Image]) -> dict[str, np.ndarray]:
    return {camera: image_from_message(message, camera) for camera, message in messages.items()}


def overheads(height: int, width: int) -> list[float]:
    """Seconds per moment, with images of that size in pixels."""
    manager, activate = _running_manager()
    done = threading.Event()

    def scored(event: FrameScored) -> None:
        for command in manager.handle(event, 0.0):
            if isinstance(command, Report):
                serialize_message(feedback_to_message(command))
        done.set()

    watcher = CompletionWatcher(NoModel(), WatchSettings(rate=1e6), scored, lambda error: done.set())
    watcher.watch(activate.key, activate.plan)
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    frames = [
        {
            camera: serialize_message(image_to_message(image, to_time(number * STEP), camera))
            for camera in NoModel.cameras
        }
        for number in range(FRAMES)
    ]
    together = CameraViews(NoModel.cameras)
    times = []
    for views in frames:
        started = time.perf_counter()
        for camera, serialised in views.items():
            message = deserialize_message(serialised, Image)
            stamp = to_nanoseconds(message.header.stamp)
            complete = together.add(camera, stamp, message)
        watcher.offer(stamp, partial(_views, complete))
        done.wait()
        done.clear()
        times.append(time.perf_counter() - started)
    watcher.stop()
    return times


def main() -> int:
    for height, width in ((128, 128), (256, 256), (480, 640)):
        times = sorted(overheads(height, width))
        median, p99 = statistics.median(times), times[int(0.99 * len(times))]
        print(f"{width}x{height}: median {1e3 * median:.2f} ms, p99 {1e3 * p99:.2f} ms a moment ({FRAMES} of them)")
    return 0


if __name__ == "__main__":
    sys.exit(main())

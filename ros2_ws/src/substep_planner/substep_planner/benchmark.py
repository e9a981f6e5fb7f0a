"""What the planner costs per moment seen, without the scorer's model: ``./substep bench planner``.

A moment is what the robot's cameras see at one time. It goes its whole way: serialised images, deserialisation,
grouping by stamp, one-slot queue, debouncing, event, state machine, feedback message.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Mapping
from functools import partial

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from substep_core.contract import RobotContract
from substep_core.ros.messages import image_from_message, image_to_message, to_nanoseconds, to_time
from substep_planner.completion.frame_scorer import WatchSettings
from substep_planner.completion.views import CameraViews
from substep_planner.completion.watcher import CompletionWatcher
from substep_planner.decomposers.base import SourcedPlan
from substep_planner.decomposers.rules import plan_by_rules
from substep_planner.manager.events import Activate, FrameScored, MakePlan, PlanMade, TaskFeedback
from substep_planner.manager.grasp_watch import FingerLimits
from substep_planner.manager.settings import ManagerSettings
from substep_planner.manager.substep_manager import SubstepManager
from substep_planner.manager.switch_rules import make_switch_rule
from substep_planner.messages import feedback_to_message

FRAMES = 500


class NoModel:
    """Scores at no cost, always below the threshold."""

    name = "none"
    threshold = 0.5

    def __init__(self, cameras: tuple[str, ...]) -> None:
        self.cameras = cameras

    def begin_plan(self, substeps) -> None: ...

    def score(self, images: Mapping[str, np.ndarray], index: int) -> float:
        return 0.25


def _running_manager() -> tuple[SubstepManager, Activate]:
    manager = SubstepManager(
        ManagerSettings(), make_switch_rule("either"), "put the milk in the basket", "t", None, 0.0, FingerLimits()
    )
    (request,) = manager.start(0.0)
    assert isinstance(request, MakePlan)
    commands = manager.handle(PlanMade(request, SourcedPlan(plan_by_rules(request.instruction), "rules")), 0.0)
    return manager, next(command for command in commands if isinstance(command, Activate))


def _views(messages: Mapping[str, Image]) -> dict[str, np.ndarray]:
    return {camera: image_from_message(message, camera) for camera, message in messages.items()}


def overheads(robot: RobotContract, height: int, width: int) -> list[float]:
    """Seconds per moment, with images of that size in pixels."""
    manager, activate = _running_manager()
    done = threading.Event()

    def scored(event: FrameScored) -> None:
        for command in manager.handle(event, 0.0):
            if isinstance(command, TaskFeedback):
                serialize_message(feedback_to_message(command))
        done.set()

    def ended(error: Exception) -> None:
        done.set()

    watcher = CompletionWatcher(NoModel(robot.camera_names), WatchSettings(rate=1e6), scored, ended, ended)
    watcher.watch(activate.key, activate.plan)
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    frames = [
        {
            camera: serialize_message(image_to_message(image, to_time(number * robot.period_ns), camera))
            for camera in robot.camera_names
        }
        for number in range(FRAMES)
    ]
    together = CameraViews(robot.camera_names)
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


def run(robot: RobotContract) -> None:
    """Print what a moment costs, at three image sizes."""
    for height, width in ((128, 128), (256, 256), (480, 640)):
        times = sorted(overheads(robot, height, width))
        median, p99 = statistics.median(times), times[int(0.99 * len(times))]
        print(f"{width}x{height}: median {1e3 * median:.2f} ms, p99 {1e3 * p99:.2f} ms a moment ({FRAMES} of them)")

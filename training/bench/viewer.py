"""A node that takes every image of the cameras and does nothing with it, as a video or a display would."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from libero_bridge.tasks import ROBOT
from substep_core.contract import load_robot
from substep_core.ros import topics
from substep_core.ros.node_main import run_node

NAME = "viewer"


class ImageViewer(LifecycleNode):
    def __init__(self) -> None:
        super().__init__(NAME)

    def on_configure(self, state: object) -> TransitionCallbackReturn:
        for camera in load_robot(ROBOT).camera_names:
            topics.camera_image(camera).subscription(self, lambda _: None, raw=True)
        return TransitionCallbackReturn.SUCCESS


if __name__ == "__main__":
    raise SystemExit(run_node(ImageViewer))

"""Subscribes to cameras by their names, or by the roles that the robot contract gives them."""

from __future__ import annotations

from collections.abc import Callable

from substep_core.contract import CameraRole, RobotContract
from substep_core.ros import topics
from substep_core.ros.lifecycle_node import GraphNode


class Cameras:
    """Made when the node is configured."""

    def __init__(self, node: GraphNode) -> None:
        self._node = node
        self._by_role: list[tuple[str, Callable, bool]] = []  # to be subscribed to once the robot is known

    def see(self, camera: str, callback: Callable, raw: bool = False) -> None:
        """camera: a name, or a role; raw: ``callback`` gets the serialised message."""
        if camera in list(CameraRole):
            self._by_role.append((camera, callback, raw))
        else:
            self._node.subscribe(topics.camera_image(camera), callback, raw=raw)

    def use(self, robot: RobotContract) -> None:
        """Raises: ValueError: the robot has no camera of a role that is wanted."""
        wanted = [(robot.camera_called(role), *rest) for role, *rest in self._by_role]
        self._by_role = []
        for camera, callback, raw in wanted:
            self._node.subscribe(topics.camera_image(camera), callback, raw=raw)

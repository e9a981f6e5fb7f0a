"""The services of ROS's ``simulation_interfaces`` that a world of one robot can answer, where ROS provides them."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable
from typing import Any

from substep_bridge.world import Sensed
from substep_core.episode import EpisodeStart
from substep_core.ros.lifecycle_node import GraphNode
from substep_core.ros.messages import to_time
from substep_core.ros.scene_messages import WORLD_FRAME, pose_to_message
from substep_core.ros.topics import Service

PACKAGE = "simulation_interfaces"
FEATURES = ("SIMULATION_RESET", "SIMULATION_RESET_STATE", "SIMULATION_STATE_GETTING", "ENTITY_STATE_GETTING")
NAMES = {
    "get_simulator_features": "GetSimulatorFeatures",
    "reset_simulation": "ResetSimulation",
    "get_simulation_state": "GetSimulationState",
    "get_entities": "GetEntities",
    "get_entity_state": "GetEntityState",
}  # service -> type


def are_provided() -> bool:
    return importlib.util.find_spec(PACKAGE) is not None


class SimulationServices:
    """Serves them beside the bridge's own.

    Args:
        begin: an episode; raises ValueError where that cannot be.
        state: "PLAYING", "PAUSED" or "STOPPED".
        sensed: the newest; None before the first.
    """

    def __init__(
        self,
        node: GraphNode,
        begin: Callable[[EpisodeStart], None],
        state: Callable[[], str],
        sensed: Callable[[], Sensed | None],
    ) -> None:
        self._begin, self._state, self._sensed = begin, state, sensed
        self._types = importlib.import_module(f"{PACKAGE}.srv")
        self._messages = importlib.import_module(f"{PACKAGE}.msg")
        for name, type_name in NAMES.items():
            node.serve(Service(name, getattr(self._types, type_name)), getattr(self, f"_on_{name}"))

    def _on_get_simulator_features(self, request: Any, response: Any) -> Any:
        known = self._messages.SimulatorFeatures
        response.features.features = [getattr(known, name) for name in FEATURES]
        return response

    def _on_reset_simulation(self, request: Any, response: Any) -> Any:
        if request.scope == request.SCOPE_TIME:
            return self._answer(response, "FEATURE_UNSUPPORTED", "world time goes on across resets")
        try:
            self._begin(EpisodeStart())  # of the current task
        except ValueError as error:
            return self._answer(response, "OPERATION_FAILED", str(error))
        return self._answer(response, "OK")

    def _on_get_simulation_state(self, request: Any, response: Any) -> Any:
        response.state.state = getattr(self._messages.SimulationState, f"STATE_{self._state()}")
        return self._answer(response, "OK")

    def _on_get_entities(self, request: Any, response: Any) -> Any:
        filters = request.filters
        if filters.categories or filters.tags.tags or filters.bounds.points:
            return self._answer(response, "FEATURE_UNSUPPORTED", "entities are told by their names only")
        try:
            pattern = re.compile(filters.filter)
        except re.error as error:
            return self._answer(response, "OPERATION_FAILED", f"{filters.filter!r} is no regular expression: {error}")
        response.entities = [name for name in self._objects() if pattern.search(name)]
        return self._answer(response, "OK")

    def _on_get_entity_state(self, request: Any, response: Any) -> Any:
        objects = self._objects()
        if request.entity not in objects:
            return self._answer(
                response, "NOT_FOUND", f"no {request.entity!r}: there are {', '.join(objects) or 'none'}"
            )
        item = objects[request.entity]
        response.state.header.stamp = to_time(self._sensed().stamp)
        response.state.header.frame_id = WORLD_FRAME
        response.state.pose = pose_to_message(item.position, item.quaternion)
        return self._answer(response, "OK")

    def _objects(self) -> dict:
        sensed = self._sensed()
        return {} if sensed is None or sensed.scene is None else dict(sensed.scene.objects)

    def _answer(self, response: Any, result: str, why: str = "") -> Any:
        response.result.result = getattr(self._messages.Result, f"RESULT_{result}")
        response.result.error_message = why
        return response

"""The answers of the simulation_interfaces services. No wheel brings that package: stand-ins have its names."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from substep_bridge.simulation_services import NAMES, PACKAGE, SimulationServices
from substep_bridge.world import Sensed
from substep_core.contract import Readings
from substep_core.episode import EpisodeStart
from substep_core.scene import SceneObject, SceneState

ZERO = np.zeros(3)
MUG = SceneObject("mug_1", "mug", True, np.array([0.1, 0.2, 0.9]), np.array([0.0, 0.0, 0.0, 1.0]), ZERO, ZERO)
SCENE = SceneState(objects={"mug_1": MUG}, joints={}, regions={}, grasped=frozenset(), predicates={})


class Services:
    """A node that keeps what it is to serve, and an answer for each service as ROS would hand it over."""

    def __init__(self) -> None:
        self.callbacks: dict[str, object] = {}
        self.resets, self.refusal = 0, ""
        SimulationServices(self, self._begin, lambda: "PAUSED", lambda: Sensed(7, Readings({}, {}), scene=SCENE))

    def serve(self, service, callback) -> None:
        self.callbacks[service.name] = callback

    def _begin(self, start: EpisodeStart) -> None:
        if self.refusal:
            raise ValueError(self.refusal)
        self.resets += start == EpisodeStart()

    def call(self, name: str, **request) -> SimpleNamespace:
        state = SimpleNamespace(header=SimpleNamespace(stamp=None, frame_id=""), pose=None, state=None)
        features = SimpleNamespace(features=[])
        result = SimpleNamespace(result=None, error_message="")
        response = SimpleNamespace(result=result, state=state, features=features, entities=[])
        return self.callbacks[name](SimpleNamespace(**request, SCOPE_TIME=1), response)


@pytest.fixture
def services(monkeypatch) -> Services:
    package, srv, msg = (ModuleType(name) for name in (PACKAGE, f"{PACKAGE}.srv", f"{PACKAGE}.msg"))
    for type_name in NAMES.values():
        setattr(srv, type_name, type(type_name, (), {}))
    results = {"FEATURE_UNSUPPORTED": 0, "OK": 1, "NOT_FOUND": 2, "INCORRECT_STATE": 3, "OPERATION_FAILED": 4}
    msg.Result = SimpleNamespace(**{f"RESULT_{name}": value for name, value in results.items()})
    msg.SimulationState = SimpleNamespace(STATE_STOPPED=0, STATE_PLAYING=1, STATE_PAUSED=2)
    msg.SimulatorFeatures = SimpleNamespace(
        ENTITY_STATE_GETTING=10, SIMULATION_RESET=20, SIMULATION_RESET_STATE=22, SIMULATION_STATE_GETTING=24
    )
    for module in (package, srv, msg):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return Services()


def filters(pattern: str = "", categories: tuple = ()) -> SimpleNamespace:
    return SimpleNamespace(
        filter=pattern, categories=categories, tags=SimpleNamespace(tags=[]), bounds=SimpleNamespace(points=[])
    )


def test_they_say_what_can_be_done_and_how_the_world_is(services):
    assert services.call("get_simulator_features").features.features == [20, 22, 24, 10]
    assert services.call("get_simulation_state").state.state == 2


def test_a_reset_begins_the_task_again_but_not_time(services):
    assert services.call("reset_simulation", scope=0).result.result == 1 and services.resets == 1
    refused = services.call("reset_simulation", scope=1).result
    assert (refused.result, services.resets) == (0, 1) and "time goes on" in refused.error_message
    services.refusal = "the bridge is not active"
    failed = services.call("reset_simulation", scope=255).result
    assert (failed.result, failed.error_message) == (4, "the bridge is not active")


def test_entities_are_found_by_name(services):
    assert services.call("get_entities", filters=filters()).entities == ["mug_1"]
    assert services.call("get_entities", filters=filters("^bowl")).entities == []
    assert services.call("get_entities", filters=filters("(")).result.result == 4
    assert services.call("get_entities", filters=filters(categories=("mug",))).result.result == 0
    found = services.call("get_entity_state", entity="mug_1")
    assert (found.result.result, found.state.header.frame_id, found.state.pose.position.z) == (1, "world", 0.9)
    missing = services.call("get_entity_state", entity="bowl_1").result
    assert missing.result == 2 and "there are mug_1" in missing.error_message

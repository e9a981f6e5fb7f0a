"""The graph of a run on a robot: planner and policy are those of a simulated run, to the byte."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from rclpy.task import Future
from std_srvs.srv import Trigger

from substep_bringup.arguments import ArgumentError
from substep_bringup.checked_config import CheckedRealConfig
from substep_bringup.commands import node_command
from substep_bringup.graph import NodeSpec, simulation_graph
from substep_bringup.graph_config import GraphConfig, RealConfig
from substep_bringup.session.session import Session
from substep_core.protocol import HoldKind
from substep_standin.settings import DRIVER

TASK = {"suite": "libero_object", "task": 3, "policy": "compact", "seed": 5, "decomposers": ("rules",)}
STANDIN = {"robot": "standin", "driver": DRIVER}


def started(spec: NodeSpec, folder: Path) -> tuple[list[str], bytes]:
    """Command line, without the folder of this run, and the parameters that it names last."""
    folder.mkdir(exist_ok=True)
    command = node_command(spec, Path(spec.executable), folder)
    return [part.replace(str(folder), "") for part in command], Path(command[-1]).read_bytes()


@pytest.mark.parametrize("name", ["policy", "planner"])
def test_planner_and_policy_of_a_robot_are_started_as_in_simulation_but_for_the_clock(tmp_path, name):
    configs = GraphConfig(**TASK), RealConfig(**TASK, **STANDIN)
    graphs = [simulation_graph(config, tmp_path) for config in configs]
    simulated, real = (next(spec for spec in graph.nodes if spec.name == name) for graph in graphs)
    (command, told), (real_command, real_told) = started(simulated, tmp_path / "a"), started(real, tmp_path / "b")
    assert command == real_command
    assert told.replace(b"use_sim_time: true", b"use_sim_time: false") == real_told != told
    assert simulated.parameter_files == real.parameter_files


def test_the_bridge_of_a_robot_drives_that_in_real_time(tmp_path):
    graph = simulation_graph(RealConfig(**TASK, **STANDIN), tmp_path)
    bridge = next(spec for spec in graph.nodes if spec.name == "bridge").parameters
    assert (bridge["world"], bridge["robot"], bridge["clock"]) == ("arm", "standin", "realtime")
    assert (graph.session.parameters["waits_for_robot"], graph.session.parameters["arms_robot"]) == (True, False)
    (driver,) = graph.drivers
    assert (driver.package, driver.name, driver.namespace) == ("substep_standin", "standin_driver", "/standin")
    assert "driver" not in graph.session.parameters["nodes"] and not driver.vital


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"suite": "libero_object"}, "robot is empty"),
        ({"robot": "standin"}, "task_text is empty, and no suite is given"),
        ({"robot": "standin", "suite": "libero_object", "driver": "driver_node"}, "expected package/executable/node"),
        ({"robot": "standin", "suite": "libero_object", "clock": "lockstep"}, "expected one of realtime"),
        ({"robot": "teapot", "suite": "libero_object"}, "no arm is called 'teapot'|unknown arm 'teapot'"),
        ({"robot": "standin", "suite": "libero_object", "task": 40}, "task 40 is not one of libero_object"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        CheckedRealConfig(**arguments)


class Operator:
    """A robot's safety services in one state, as the session asks them."""

    def __init__(self, state: str) -> None:
        self.state, self.asked = state, []

    def ask_for_shadow(self) -> Future:
        return self._answer("shadow", refused="disarm it first" if self.state == "armed" else "")

    def ask_to_arm(self) -> Future:
        return self._answer("arm", refused="expected shadow" if self.state == "disabled" else "")

    def _answer(self, name: str, refused: str) -> Future:
        self.asked.append(name)
        if not refused:
            self.state = {"shadow": "shadow", "arm": "armed"}[name]
        future = Future()
        future.set_result(Trigger.Response(success=not refused, message=refused))
        return future


@pytest.mark.parametrize(("state", "asked"), [("disabled", ["arm", "shadow", "arm"]), ("armed", ["arm"])])
def test_a_robot_is_armed_by_the_session_and_one_that_is_already_stays_so(state, asked):
    operator = Operator(state)
    operator.tracker = SimpleNamespace(status=SimpleNamespace(hold_kind=HoldKind.WAITING_FOR_A_SUBSTEP))
    session = SimpleNamespace(_config=SimpleNamespace(waits_for_robot=True, arms_robot=True), _node=operator)
    session._wait = lambda holds, *told: holds()
    session._refused = partial(Session._refused, session)
    Session._have_the_robot_armed(session)
    assert (operator.asked, operator.state) == (asked, "armed")

"""Faults of a robot on the running graph: how the arm ends, how fast, and with which code.

``SUBSTEP_TEST_PATIENCE=1 ./substep test tests/test_arm_faults.py -rP`` shows the times with the ages that ship, which a
loaded machine may not keep; docs/reference/faults.md has them from one run.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from functools import partial

import pytest
from std_srvs.srv import SetBool, Trigger
from substep_interfaces.action import ExecuteTask

from substep_core.errors import ErrorCode
from substep_core.protocol import HoldKind, SafetyState
from tests.arm_graph import PATIENCE, ArmGraph

pytestmark = pytest.mark.xdist_group("arm_faults")
SLACK = 1.0  # s that a loaded machine may add
RESULT = ExecuteTask.Result


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    graph = ArmGraph(tmp_path_factory.mktemp("arm"))
    try:
        yield graph.bring_up()
    finally:
        graph.close()


@dataclass(frozen=True)
class Fault:
    """One fault: what the driver is told, what follows, and within which time the arm must hold."""

    parameter: str
    value: object
    hold: HoldKind
    code: int
    within: float
    well: object = False


LOST, FAULT = (HoldKind.OBSERVATION_LOST, RESULT.OBSERVATION_LOST), (HoldKind.ROBOT_FAULT, RESULT.ROBOT_FAULT)
FAULTS = {
    "the driver hangs": Fault("freeze_driver", True, *LOST, 0.3),
    "a camera repeats one picture with new stamps": Fault("freeze_camera", "agentview", *LOST, 1.0, ""),
    "a camera stops": Fault("stop_camera", "agentview", *LOST, 0.4, ""),
    "joint states stop": Fault("stop_joint_states", True, *LOST, 0.3),
    "stamps jump 5 s ahead": Fault("stamp_offset", 5.0, *LOST, 0.3, 0.0),
    "stamps jump 5 s back": Fault("stamp_offset", -5.0, *LOST, 0.3, 0.0),
    "everything comes 0.3 s late": Fault("delay", 0.3 * PATIENCE, *LOST, 0.5, 0.0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_driver_that_does_wrong_makes_the_arm_hold_and_ends_the_task(graph, name):
    fault = FAULTS[name]
    with graph.moving() as goal:
        graph.fault(fault.parameter, fault.value)
        measure(graph, goal, name, fault.hold, fault.code, fault.within)
        graph.fault(fault.parameter, fault.well)
    graph.probe.wait(lambda: graph.state == "armed", "recovery")


@pytest.mark.parametrize(("parameter", "value"), [("duplicate", 1.0), ("reorder", 0.3)])
def test_messages_said_twice_or_out_of_order_are_no_fault_and_the_task_goes_on(graph, parameter, value):
    with graph.moving():
        begun, transitions = len(graph.probe.reports), len(graph.states)
        graph.fault(parameter, value)
        graph.probe.wait(lambda: len(graph.probe.reports) > begun + 5, "five chunks more")
        graph.fault(parameter, 0.0)
        assert not [state.text for state in graph.states[transitions:] if state.state == SafetyState.FAULT]


def test_an_emergency_stop_latches_until_it_is_released_and_reset(graph):
    with graph.moving() as goal:
        assert graph.probe.call(graph.emergency_stop, SetBool.Request(data=True)).success
        measure(graph, goal, "emergency stop", *FAULT, 0.2)
    assert (graph.states[-1].hold_kind, graph.states[-1].error_code) == FAULT
    assert graph.tell("reset"), "the stop is still pressed"
    graph.probe.call(graph.emergency_stop, SetBool.Request(data=False))
    assert graph.state == "fault", "until somebody resets it"
    graph.arm()


def test_a_gripper_command_that_is_rejected_is_a_fault(graph):
    graph.fault("reject_gripper", True)
    with graph.moving() as goal:
        graph.closes = True
        graph.probe.wait(lambda: graph.state == "fault", "the fault", 5.0)
        measure(graph, goal, "the gripper's command is rejected", *FAULT, 0.2)
    graph.closes = False
    graph.fault("reject_gripper", False)
    graph.arm()


def test_a_controller_that_refuses_commands_is_a_fault(graph):
    other = graph.probe.node.create_client(Trigger, "/standin/controllers/joint_trajectory/activate")
    with graph.moving() as goal:
        assert graph.probe.call(other, Trigger.Request()).success
        measure(graph, goal, "the controller refuses commands", *FAULT, 0.3)
    graph.arm()


def test_an_operator_who_disarms_stops_the_arm(graph):
    with graph.moving() as goal:
        since = time.monotonic()
        assert graph.tell("disarm") == ""
        disabled = HoldKind.ROBOT_DISABLED, RESULT.ROBOT_DISABLED
        measure(graph, goal, "the operator disarms", *disabled, 0.2, since)


def test_a_policy_that_stalls_leaves_an_arm_that_holds(graph):
    with graph.moving() as goal:
        graph.policy.answer = lambda request: None
        silent = HoldKind.WAITING_FOR_A_CHUNK, RESULT.POLICY_SILENT
        measure(graph, goal, "the policy stalls or dies", *silent, 0.5)
        graph.policy.answer = graph.back_and_forth


def test_a_driver_that_dies_makes_the_arm_hold_and_is_heard_again_when_it_is_back(graph):
    with graph.moving() as goal:
        since = time.monotonic()
        graph.driver.send(9)
        measure(graph, goal, "the driver dies", *LOST, 0.3, since)
    graph.driver.close()
    graph.start_driver()
    graph.probe.wait(lambda: graph.state in ("armed", "fault"), "the driver's return", 120.0)
    graph.arm()


def test_a_signal_that_ends_the_bridge_stops_the_arm_first(graph):
    """The last that the driver hears is to stand still."""
    goal, bridge, since = graph.set_in_motion(), graph.processes["bridge"], time.monotonic()
    bridge.send(signal.SIGTERM)
    graph.probe.wait(graph.stands, "a command to stand still", SLACK)
    print(f"SIGTERM to the bridge: told to stand still after {time.monotonic() - since:.2f} s")
    assert bridge.wait() == 0 and graph.stands() and graph.state == "disabled"
    goal.cancel()
    goal.result()
    graph.start_again("bridge")


def test_a_planner_that_dies_leaves_an_arm_that_holds(graph):
    graph.set_in_motion()  # nobody will be there to cancel it
    said = partial(graph.probe.diagnostic_values, "bridge: world", "error_code")
    begun, since = len(said()), time.monotonic()
    graph.kill("planner")
    took = graph.wait_for_hold(HoldKind.PLANNER_SILENT, since, 2.5 + 0.5 + SLACK)
    graph.probe.wait(graph.stands, "rest", SLACK)
    graph.probe.wait(lambda: str(RESULT.PLANNER_SILENT) in said()[begun:], "the code on /diagnostics", 3.0)
    print(f"the planner dies: hold after {took:.2f} s")


def measure(graph, goal, name: str, hold: HoldKind, code: int, within: float, since: float | None = None) -> None:
    """The arm holds, stands, the task ends with the code, and /diagnostics says it too."""
    since = time.monotonic() if since is None else since
    said = partial(graph.probe.diagnostic_values, key="error_code")
    begun = {status: len(said(status)) for status in ("planner: task", "bridge: robot")}
    patience = PATIENCE if hold is HoldKind.OBSERVATION_LOST else 1.0  # of sensors alone
    held = graph.wait_for_hold(hold, since, patience * within + SLACK)
    graph.probe.wait(graph.stands, "rest", SLACK)
    stood = time.monotonic() - since
    result = goal.result(40.0)
    ended = time.monotonic() - since
    assert result.error_code == code, result.message
    print(
        f"{name}: hold {held:.2f} s, at rest {stood:.2f} s, result {result.error_code} {ended:.2f} s: {result.message}"
    )
    expected = {"planner: task": f"{code} {ErrorCode(code).name}"}
    if code != RESULT.POLICY_SILENT:  # which is the planner's to say
        expected["bridge: robot"] = str(code)
    graph.probe.wait(
        lambda: all(word in said(status)[begun[status] :] for status, word in expected.items()),
        f"{expected} on /diagnostics",
        3.0,
    )

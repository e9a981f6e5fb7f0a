"""Goals on the running graph: what cannot be done, what comes second, what is cancelled, who falls silent."""

from __future__ import annotations

import signal

import pytest
from action_msgs.msg import GoalStatus
from lifecycle_msgs.msg import Transition
from substep_interfaces.action import ExecuteTask
from substep_interfaces.srv import DecomposeTask

from substep_bringup.graph import GraphConfig
from tests.probe import Goal
from tests.running_graph import SMALL
from tests.stand_in_policy import STILL, StandInPolicy, chunk_for, still

pytestmark = pytest.mark.xdist_group("goals")
POLICY_SILENCE, BRIDGE_SILENCE = 2.0, 3.0  # s


@pytest.fixture(scope="module")
def graph(start_graph):
    silences = {"policy_silence": POLICY_SILENCE, "bridge_silence": BRIDGE_SILENCE}
    graph = start_graph(
        GraphConfig(suite="libero_object", task=0, image_size=SMALL),
        without=("policy",),
        parameters={"planner": silences | {"substep_timeout": 12, "retries": 1, "replans": 0}},
    ).bring_up()
    graph.policy = StandInPolicy(graph.probe)
    return graph


@pytest.fixture
def probe(graph):
    """In a fresh episode, with a policy that keeps the arm still."""
    graph.policy.answer = still
    graph.probe.reset()
    return graph.probe


def holds(probe) -> bool:
    """Nothing is active any more, and the bridge knows."""
    return probe.statuses[-1].hold_reason == "waiting for a substep" and probe.substeps[-1].plan_id == ""


@pytest.mark.parametrize(
    ("task", "code", "message"),
    [
        ("   ", "EMPTY_INSTRUCTION", "is empty"),
        ("tell me a joke", "NO_PLAN", "tell me a joke"),
    ],
)
def test_an_instruction_without_a_plan_aborts_with_code_and_message(probe, task, code, message):
    goal = Goal(probe, task)
    result = goal.result()
    assert goal.status() == GoalStatus.STATUS_ABORTED
    assert (result.success, result.error_code) == (False, getattr(ExecuteTask.Result, code))
    assert message in result.message
    assert probe.statuses[-1].step == 0


def test_a_plan_can_be_had_without_executing_it(probe):
    plan = probe.call(probe.decompose_task, DecomposeTask.Request(task="open the middle drawer of the cabinet"))
    assert plan.success and plan.substeps and plan.source
    refused = probe.call(probe.decompose_task, DecomposeTask.Request(task="tell me a joke"))
    assert (refused.success, refused.error_code) == (False, ExecuteTask.Result.NO_PLAN)
    assert probe.statuses[-1].step == 0


def test_a_second_goal_is_rejected_with_a_reason_and_a_cancelled_one_makes_room(probe):
    goal = Goal(probe, "")
    probe.wait(lambda: probe.statuses[-1].step > 0, "the first step")
    assert not Goal(probe, "open the middle drawer of the cabinet").accepted
    values = probe.wait(lambda: rejections(probe), "the reason of the rejection in diagnostics")
    assert "BUSY" in values[-1] and "another task is under way" in values[-1]
    goal.cancel()
    result = goal.result()
    assert (goal.status(), result.error_code) == (GoalStatus.STATUS_CANCELED, ExecuteTask.Result.CANCELED)
    probe.wait(lambda: holds(probe), "the hold after the cancel")
    stopped_at = probe.statuses[-1].step
    again = Goal(probe, "")
    assert again.accepted
    probe.wait(lambda: probe.statuses[-1].step > stopped_at, "a step of the next task")
    again.cancel()
    again.result()


def rejections(probe) -> list[str]:
    return [text for text in probe.diagnostic_values("planner: goals", "last_rejection") if text]


def test_a_substep_without_end_is_retried_and_then_aborted(probe):
    goal = Goal(probe, "")
    result = goal.result()
    assert result.error_code == ExecuteTask.Result.SUBSTEP_TIMEOUT
    assert any(feedback.event == "retry: timeout" for feedback in goal.feedback)
    assert {feedback.attempt for feedback in goal.feedback} == {0, 1}
    probe.wait(lambda: holds(probe), "the hold after the abort")


def test_an_end_of_substep_advances_the_plan_to_its_end(graph, probe):
    graph.policy.answer = lambda request: chunk_for(request, STILL, eos=True)
    goal = Goal(probe, "")
    result = goal.result()
    assert result.success and result.substeps_completed == result.substeps_total > 1
    assert probe.statuses[-1].step == result.substeps_total  # one step each
    assert not probe.statuses[-1].success  # the world knows better than the policy


def test_a_silent_policy_aborts_the_task_and_the_arm_holds(graph, probe):
    goal = Goal(probe, "")
    probe.wait(lambda: probe.statuses[-1].step > 0, "the first step")
    graph.policy.answer = lambda request: None
    result = goal.result(timeout=POLICY_SILENCE + 10.0)
    assert result.error_code == ExecuteTask.Result.POLICY_SILENT
    probe.wait(lambda: holds(probe), "the hold after the abort")


def test_a_reset_in_mid_task_ends_it(probe):
    goal = Goal(probe, "")
    probe.wait(lambda: probe.reports, "the first report")
    probe.reset()
    assert goal.result().error_code == ExecuteTask.Result.EPISODE_ENDED


def test_a_goal_for_a_planner_that_is_not_active_is_rejected(probe):
    assert probe.transition("planner", Transition.TRANSITION_DEACTIVATE)
    assert not Goal(probe, "").accepted
    assert probe.transition("planner", Transition.TRANSITION_ACTIVATE)


def test_a_silent_bridge_aborts_the_task(graph, probe):
    goal = Goal(probe, "")
    probe.wait(lambda: probe.statuses[-1].step > 0, "the first step")
    graph.processes["bridge"].send(signal.SIGKILL)  # the last test of this graph
    result = goal.result(timeout=BRIDGE_SILENCE + 10.0)
    assert result.error_code == ExecuteTask.Result.BRIDGE_SILENT

"""Goals on the running graph: what cannot be done, what comes second, what is cancelled, who falls silent."""

from __future__ import annotations

import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from action_msgs.msg import GoalStatus
from lifecycle_msgs.msg import Transition
from substep_interfaces.action import ExecuteTask
from substep_interfaces.srv import DecomposeTask

from substep_bridge.chunk_player import REST_TIME
from substep_bringup.graph_config import GraphConfig
from substep_core.protocol import Cause, HoldKind, Reason, RefusalKind, TaskEvent
from substep_core.ros import topics
from substep_core.ros.messages import refusal_to_message, to_nanoseconds
from tests.probe import Goal
from tests.running_graph import SMALL
from tests.stand_in_policy import STILL, StandInPolicy, chunk_for, still

pytestmark = pytest.mark.xdist_group("goals")
POLICY_SILENCE, BRIDGE_SILENCE = 2.0, 3.0  # s


@pytest.fixture(scope="module")
def graph(start_graph):
    silences = {"policy_silence": POLICY_SILENCE, "bridge_silence": BRIDGE_SILENCE}
    graph = start_graph(
        GraphConfig(suite="libero_object", task=0, policy="demonstrator", image_size=SMALL),
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
    return probe.statuses[-1].hold_kind == HoldKind.WAITING_FOR_A_SUBSTEP and probe.substeps[-1].plan_id == ""


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
    plan = probe.call(probe.decompose_task, DecomposeTask.Request(task="pick up the milk and place it in the basket"))
    assert plan.success and plan.substeps and plan.source
    refused = probe.call(probe.decompose_task, DecomposeTask.Request(task="tell me a joke"))
    assert (refused.success, refused.error_code) == (False, ExecuteTask.Result.NO_PLAN)
    assert probe.statuses[-1].step == 0


def test_a_second_goal_is_rejected_with_a_reason_and_a_cancelled_one_makes_room(probe):
    goal = Goal(probe, "")
    probe.wait(lambda: probe.statuses[-1].step > 0, "the first step")
    assert not Goal(probe, "open the middle drawer of the cabinet").accepted
    (rejection,) = probe.wait(lambda: probe.rejections, "the reason of the rejection")
    assert rejection.error_code == ExecuteTask.Result.BUSY and "another task is under way" in rejection.message
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


def test_what_every_node_says_is_stamped_in_world_time(probe):
    goal = Goal(probe, "")
    probe.wait(lambda: probe.statuses[-1].step > 0, "the first step")
    goal.cancel()
    goal.result()
    probe.wait(lambda: {"bridge", "planner"} <= probe.newest_diagnostics().keys(), "diagnostics of both nodes")
    world = to_nanoseconds(probe.statuses[-1].header.stamp)
    stamps = {**probe.newest_diagnostics(), "active_substep": probe.substeps[-1].header.stamp}
    assert all(0 < to_nanoseconds(stamp) <= world for stamp in stamps.values()), stamps


def test_a_substep_without_end_is_retried_and_then_aborted(probe):
    goal = Goal(probe, "")
    result = goal.result()
    assert result.error_code == ExecuteTask.Result.SUBSTEP_TIMEOUT
    assert any((item.event, item.cause) == (TaskEvent.RETRIED, Cause.TIMEOUT) for item in goal.feedback)
    assert {feedback.attempt for feedback in goal.feedback} == {0, 1}
    probe.wait(lambda: holds(probe), "the hold after the abort")


def test_an_end_of_substep_advances_the_plan_to_its_end(graph, probe):
    graph.policy.answer = lambda request: chunk_for(request, STILL, eos=True)
    goal = Goal(probe, "")
    result = goal.result()
    assert result.success and result.substeps_completed == result.substeps_total > 1
    probe.wait(lambda: holds(probe), "the world at rest")
    assert probe.statuses[-1].step == result.substeps_total + round(REST_TIME * 20)  # one step each
    assert not probe.statuses[-1].success  # the world knows better than the policy


def test_a_silent_policy_aborts_the_task_and_the_arm_holds(graph, probe):
    goal = Goal(probe, "")
    probe.wait(lambda: probe.statuses[-1].step > 0, "the first step")
    graph.policy.answer = lambda request: None
    result = goal.result(timeout=POLICY_SILENCE + 10.0)
    assert result.error_code == ExecuteTask.Result.POLICY_SILENT
    probe.wait(lambda: holds(probe), "the hold after the abort")


def test_a_reset_in_mid_task_ends_it(probe, planner_with):
    planner_with(substep_timeout=400)  # the reset must come before it
    goal = Goal(probe, "")
    probe.wait(lambda: probe.reports, "the first report")
    probe.reset()
    assert goal.result().error_code == ExecuteTask.Result.EPISODE_ENDED


def test_a_goal_for_a_planner_that_is_not_active_is_rejected(probe):
    assert probe.transition("planner", Transition.TRANSITION_DEACTIVATE)
    assert not Goal(probe, "").accepted
    assert probe.transition("planner", Transition.TRANSITION_ACTIVATE)


def test_a_task_ends_with_its_own_code_when_the_planner_is_deactivated(probe):
    goal = Goal(probe, "")
    probe.wait(lambda: probe.statuses[-1].step > 0, "the first step")
    assert probe.transition("planner", Transition.TRANSITION_DEACTIVATE)
    assert goal.result().error_code == ExecuteTask.Result.NOT_ACTIVE
    assert probe.transition("planner", Transition.TRANSITION_ACTIVATE)


@pytest.fixture
def planner_with(probe):
    """Gives the planner other parameters until the test is over."""
    before = {"when_busy": "reject", "decomposers": ["library", "rules"], "substep_timeout": 12}
    yield lambda **parameters: probe.configure_anew("planner", **parameters)
    probe.configure_anew("planner", **before)


def test_a_second_goal_preempts_the_first_where_that_is_asked_for(probe, planner_with):
    planner_with(when_busy="preempt")
    first = Goal(probe, "")
    probe.wait(lambda: probe.statuses[-1].step > 0, "the first step")
    second = Goal(probe, "pick up the milk and place it in the basket")
    assert first.result().error_code == ExecuteTask.Result.PREEMPTED
    assert second.accepted
    second.cancel()
    assert second.result().error_code == ExecuteTask.Result.CANCELED


def test_a_models_plan_that_cannot_be_used_aborts_the_task(probe, planner_with, language_server):
    planner_with(decomposers=["openai"], openai_url=language_server)
    result = Goal(probe, "").result()
    assert result.error_code == ExecuteTask.Result.INVALID_PLAN
    assert "no usable plan, not after a repair either" in result.message


def test_a_model_that_is_not_there_aborts_the_task(probe, planner_with):
    planner_with(decomposers=["openai"], openai_url="http://127.0.0.1:9/v1", server_retries=0)
    result = Goal(probe, "").result()
    assert result.error_code == ExecuteTask.Result.BACKEND_FAILED and "ConnectError" in result.message


def test_a_policy_that_cannot_do_a_substep_aborts_the_task_with_its_reason(graph, probe):
    graph.policy.answer = lambda request: None
    refusals = topics.CHUNK_REFUSAL.publisher(probe.node)
    goal = Goal(probe, "")
    request = probe.wait(lambda: probe.requests[-1:], "a chunk request")[0]
    probe.wait(refusals.get_subscription_count, "a listener of refusals")
    reason = Reason(RefusalKind.INSTRUCTION, "the soup is out of reach")
    refusals.publish(refusal_to_message(request, reason))
    result = goal.result()
    assert result.error_code == ExecuteTask.Result.POLICY_FAILED and "the soup is out of reach" in result.message
    probe.node.destroy_publisher(refusals)


class DancingModel(BaseHTTPRequestHandler):
    """An OpenAI-compatible server whose model plans what nobody can do."""

    def do_POST(self) -> None:
        plan = {"steps": [{"subgoal": "dance a waltz", "expected_effect": "everybody claps"}]}
        body = json.dumps({"choices": [{"message": {"content": json.dumps(plan)}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments) -> None: ...


@pytest.fixture
def language_server():
    with ThreadingHTTPServer(("127.0.0.1", 0), DancingModel) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_a_silent_bridge_aborts_the_task(graph, probe):
    goal = Goal(probe, "")
    probe.wait(lambda: probe.statuses[-1].step > 0, "the first step")
    graph.processes["bridge"].send(signal.SIGKILL)  # the last test of this graph
    result = goal.result(timeout=BRIDGE_SILENCE + 10.0)
    assert result.error_code == ExecuteTask.Result.BRIDGE_SILENT

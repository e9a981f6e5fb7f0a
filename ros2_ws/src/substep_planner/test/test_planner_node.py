"""The planner node over real topics, services and its action; client, bridge and policy are played by the test."""

from __future__ import annotations

import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticStatus
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ChunkReport

from substep_planner.errors import ErrorCode

TASK = "put the milk in the basket"


def test_a_task_runs_from_its_goal_to_success(graph):
    graph.activate().world()
    handle = graph.accepted()
    first = graph.next_substep()
    assert (first.index, first.count, first.attempt, first.task) == (0, 2, 0, TASK)
    assert first.instruction == "pick up the milk"
    assert first.expected_effect == "the gripper holds the milk in the air"
    graph.report(ChunkReport.PLAYED, eos_probability=0.25)
    graph.report(ChunkReport.PLAYED_EOS, eos_probability=0.75)
    second = graph.next_substep()
    assert (second.plan_id, second.index, second.instruction) == (first.plan_id, 1, "place the milk in the basket")
    graph.world(step=80, success=True)
    result = graph.result(handle)
    assert graph.status(handle) == GoalStatus.STATUS_SUCCEEDED
    assert (result.success, result.error_code, result.plan_source) == (
        True,
        ExecuteTask.Result.NONE,
        "rules (after library)",
    )
    assert (result.substeps_completed, result.substeps_total) == (1, 2)
    assert graph.next_substep().plan_id == ""
    assert graph.events_until("advanced") == ["started", "advanced: eos"]


def test_feedback_tells_where_the_task_stands(graph):
    graph.activate().world()
    graph.accepted()
    graph.next_substep()
    start = graph.feedback.get(timeout=20)
    assert [step.instruction for step in start.plan] == ["pick up the milk", "place the milk in the basket"]
    assert (start.event, start.instruction, start.plan_id) == ("started", "pick up the milk", graph.active.plan_id)
    assert (start.steps, start.eos_probability, start.similarity) == (0, -1.0, -1.0)
    graph.world(step=8)
    graph.report(ChunkReport.PLAYED, eos_probability=0.5)
    assert graph.feedback.get(timeout=20).eos_probability == 0.5


def test_all_substeps_done_is_success_though_the_world_is_silent_about_it(graph):
    graph.activate().world()
    handle = graph.accepted("open the microwave")
    graph.next_substep()
    graph.report(ChunkReport.PLAYED_EOS)
    assert graph.result(handle).success


def test_an_empty_task_is_the_episodes_own(graph):
    graph.activate()
    handle = graph.accepted("")
    graph.world(instruction="Turn on the stove", suite="libero_goal")
    assert graph.next_substep().instruction == "turn on the stove"
    graph.report(ChunkReport.PLAYED_EOS)
    assert graph.result(handle).plan_source == "library:libero_goal"


@pytest.mark.parametrize(
    ("task", "code", "message"),
    [
        ("   ", ErrorCode.EMPTY_INSTRUCTION, "the task is empty: '   '"),
        ("sing a song", ErrorCode.NO_PLAN, "'sing a song' does not begin with an action"),
    ],
)
def test_a_task_without_a_plan_is_aborted_with_the_reason(graph, task, code, message):
    graph.activate().world()
    handle = graph.accepted(task)
    result = graph.result(handle)
    assert graph.status(handle) == GoalStatus.STATUS_ABORTED
    assert (result.success, result.error_code) == (False, code) and message in result.message
    assert graph.substeps.empty()


def test_a_second_goal_is_rejected_and_the_reason_is_published(graph):
    graph.activate().world()
    graph.accepted()
    assert not graph.send("open the microwave").accepted
    rejection = "101 BUSY: 'open the microwave': another task is under way; cancel it or wait for its end"
    graph.diagnostic("planner: goals", last_rejection=rejection)


@pytest.mark.parametrize("graph", [{"when_busy": "preempt"}], indirect=True)
def test_a_second_goal_preempts_the_first_where_that_is_asked_for(graph):
    graph.activate().world()
    first = graph.accepted()
    assert graph.next_substep().task == TASK
    second = graph.accepted("open the microwave")
    assert graph.result(first).error_code == ErrorCode.PREEMPTED
    assert graph.next_active().task == "open the microwave"
    graph.report(ChunkReport.PLAYED_EOS)
    assert graph.result(second).success


def test_a_running_task_is_canceled_and_another_may_follow(graph, capfd):
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    result = graph.cancel(handle)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "ended with CANCELED" in line]
    assert "[INFO]" in line
    assert (result.success, result.error_code) == (False, ErrorCode.CANCELED)
    assert graph.next_substep().plan_id == ""
    graph.accepted("open the microwave")
    assert graph.next_active().instruction == "open the microwave"


def test_a_task_that_waits_for_its_instruction_can_be_canceled(graph):
    graph.activate()
    assert graph.cancel(graph.accepted("")).error_code == ErrorCode.CANCELED


@pytest.mark.parametrize("graph", [{"empty_width": 0.01, "retries": 1, "replans": 0}], indirect=True)
def test_fingers_that_closed_on_nothing_lead_to_another_attempt_and_the_end(graph):
    graph.activate().world()
    goal = graph.accepted()
    graph.next_substep()
    graph.report(ChunkReport.PLAYED_EOS, gripper=1.0, gripper_width=0.005)
    again = graph.next_substep()
    assert (again.index, again.attempt, again.back_off) == (0, 1, True)
    graph.report(ChunkReport.PLAYED_EOS, gripper=1.0, gripper_width=0.02)
    assert graph.next_substep().index == 1
    graph.report(ChunkReport.PLAYED, gripper=1.0, gripper_width=0.005)
    assert graph.next_substep().instruction.startswith("pick up")
    graph.report(ChunkReport.PLAYED_EOS, gripper=1.0, gripper_width=0.005)
    result = graph.result(goal)
    assert result.error_code == ErrorCode.GRASP_LOST and "the fingers are 5.0 mm apart" in result.message


@pytest.mark.parametrize("graph", [{"substep_timeout": 50, "retries": 1, "replans": 1}], indirect=True)
def test_a_substep_timeout_leads_to_retry_replanning_and_the_end(graph):
    graph.activate().world()
    handle = graph.accepted()
    assert graph.next_substep().attempt == 0
    graph.world(step=50)
    assert graph.next_substep().attempt == 1
    graph.world(step=100)
    again = graph.next_active()
    assert (again.index, again.attempt, again.instruction) == (0, 0, "pick up the milk")
    graph.world(step=150)
    assert graph.next_substep().attempt == 1
    graph.world(step=200)
    result = graph.result(handle)
    assert result.error_code == ErrorCode.SUBSTEP_TIMEOUT
    assert "no end of substep 0 ('pick up the milk') after 50 steps" in result.message
    assert graph.events_until("replanned") == [
        "started", "retry: timeout", "replanning: timeout", "replanned by rules (after library)"
    ]  # fmt: skip


def test_the_end_of_the_episode_ends_the_task(graph):
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    graph.world(step=30, done=True)
    assert graph.result(handle).error_code == ErrorCode.EPISODE_ENDED


def test_a_latched_guard_ends_the_task(graph):
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    graph.report(ChunkReport.REJECTED, reason="speed 3 m/s, at most 1", latched=True)
    result = graph.result(handle)
    assert result.error_code == ErrorCode.GUARD_LATCHED and "speed 3 m/s" in result.message


@pytest.mark.parametrize("graph", [{"bridge_silence": 0.5}], indirect=True)
def test_a_silent_bridge_ends_the_task(graph):
    graph.activate().world()
    assert graph.result(graph.accepted()).error_code == ErrorCode.BRIDGE_SILENT


@pytest.mark.parametrize("graph", [{"policy_silence": 0.5}], indirect=True)
def test_a_silent_policy_ends_the_task(graph):
    graph.activate().world()
    handle = graph.accepted()
    timer = graph.node.create_timer(0.1, graph.world)  # the bridge goes on
    assert graph.result(handle).error_code == ErrorCode.POLICY_SILENT
    graph.node.destroy_timer(timer)


@pytest.mark.parametrize("graph", [{"replans": 0}], indirect=True)
def test_a_policy_that_refuses_ends_the_task_with_its_own_words(graph):
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    graph.policy_error("there is no milk in the scene")
    result = graph.result(handle)
    assert result.error_code == ErrorCode.POLICY_FAILED and "there is no milk in the scene" in result.message


@pytest.mark.parametrize(
    ("graph", "code", "message"),
    [
        ({"decomposers": ["babbling"]}, ErrorCode.INVALID_PLAN, "babbling: the answer is not JSON"),
        ({"decomposers": ["hanging"], "planning_timeout": 0.3}, ErrorCode.BACKEND_FAILED, "no plan within 0.3 s"),
        (
            {"decomposers": ["openai", "babbling"], "openai_url": "http://127.0.0.1:9/v1", "openai_retries": 0},
            ErrorCode.BACKEND_FAILED,
            "ConnectError",
        ),
    ],
    indirect=["graph"],
)
def test_a_decomposer_that_fails_ends_the_task_with_its_reason(graph, code, message):
    graph.activate().world()
    result = graph.result(graph.accepted())
    assert result.error_code == code and message in result.message


@pytest.mark.parametrize("graph", [{"decomposers": ["hanging"]}], indirect=True)
def test_a_task_that_is_being_planned_can_be_canceled(graph):
    graph.activate().world()
    assert graph.cancel(graph.accepted()).error_code == ErrorCode.CANCELED


@pytest.mark.parametrize("graph", [{"decomposers": ["babbling", "rules"]}], indirect=True)
def test_a_fallback_is_visible_in_the_plans_source(graph):
    graph.activate().world()
    graph.accepted("turn on the stove")
    assert graph.feedback.get(timeout=20).plan_source == "rules (after babbling)"


@pytest.mark.parametrize("graph", [{"decomposers": ["looking"]}], indirect=True)
def test_a_decomposer_that_looks_is_shown_the_newest_frame(graph):
    graph.activate().world()
    for value in (50, 200):
        effect = ""
        while effect != f"brightness {value} in (8, 8, 3)":  # frames come by best effort
            graph.frame(value, stamp=value)
            effect = graph.decompose(TASK).substeps[0].expected_effect
    graph.accepted()
    assert graph.next_substep().expected_effect == effect


def test_decompose_task_answers_without_executing(graph):
    graph.activate().world(suite="libero_goal")
    answer = graph.decompose("turn on the stove")
    assert (answer.success, answer.source) == (True, "library:libero_goal")
    assert [step.instruction for step in answer.substeps] == ["turn on the stove"]
    assert graph.decompose("").error_code == ErrorCode.EMPTY_INSTRUCTION
    refused = graph.decompose("sing a song")
    assert (refused.success, refused.error_code) == (False, ErrorCode.NO_PLAN)
    assert "library: no plan" in refused.message and "rules: no plan" in refused.message
    assert graph.substeps.empty()


def test_what_there_is_to_say_about_a_plan_is_in_diagnostics(graph):
    graph.activate()
    values = {}
    while "the scene has no basket" not in values.get("remarks", ""):  # the scene comes by best effort
        graph.scene("milk", "plate")
        graph.decompose(TASK)
        status = graph.diagnostic("planner: plan", source="rules (after library)")
        values = {item.key: item.value for item in status.values}
    assert status.level == DiagnosticStatus.WARN
    assert "library: no plan for 'put the milk in the basket'" in values["remarks"]


def test_diagnostics_tell_the_task_and_its_end(graph):
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    status = graph.diagnostic("planner: task", substep_index="0", plan_source="rules (after library)")
    assert status.message == "pick up the milk"
    graph.cancel(handle)
    graph.diagnostic("planner: task", error_code="103 CANCELED")


def test_error_codes_are_those_of_the_action():
    constants = {name: getattr(ExecuteTask.Result, name) for name in dir(ExecuteTask.Result) if name.isupper()}
    assert {code.name: code.value for code in ErrorCode} == {
        name: value for name, value in constants.items() if isinstance(value, int)
    }

"""The planner node over real topics, services and its action; client, bridge and policy are played by the test."""

from __future__ import annotations

import contextlib
import queue

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActiveSubstep, ChunkReport

from substep_planner.errors import ErrorCode
from substep_policy.messages import image_to_message, to_time

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


LOOKING = {"completion": "brightness", "completion_frames": 2, "completion_rate": 1000.0}


@pytest.mark.parametrize("graph", [{**LOOKING, "switch_rule": rule} for rule in ("vision", "either")], indirect=True)
def test_vision_advances_the_substep(graph):
    graph.activate().world()
    graph.accepted()
    graph.next_substep()
    for step, value in enumerate((50, 200), start=1):
        graph.frame(value, step * 50_000_000)
        while graph.feedback.get(timeout=20).similarity != value / 200:
            pass
    graph.frame(200, 150_000_000)
    assert graph.next_substep().index == 1
    assert graph.events_until("advanced") == ["advanced: vision"]


@pytest.mark.parametrize(
    "graph", [{**LOOKING, "completion_frames": 1, "switch_rule": "eos_then_vision"}], indirect=True
)
def test_an_eos_waits_for_vision(graph):
    graph.activate().world()
    graph.accepted()
    graph.next_substep()
    graph.frame(50, 50_000_000)
    graph.report(ChunkReport.PLAYED_EOS, header=Header(stamp=to_time(50_000_000)))
    assert graph.next_substep().attempt == 1
    graph.report(ChunkReport.PLAYED_EOS, header=Header(stamp=to_time(100_000_000)))
    graph.frame(200, 100_000_000)
    assert graph.next_substep().index == 1
    assert graph.events_until("advanced")[-1] == "advanced: eos confirmed by vision"


@pytest.mark.parametrize("graph", [{**LOOKING, "completion_frames": 1, "switch_rule": "either"}], indirect=True)
def test_an_eos_that_is_being_played_comes_before_vision(graph):
    graph.activate().world()
    graph.accepted()
    graph.next_substep()
    graph.chunk_with_eos()
    timer = graph.node.create_timer(0.02, lambda: graph.frame(200, graph.node.get_clock().now().nanoseconds))
    while graph.feedback.get(timeout=20).similarity != 1.0:
        pass
    graph.node.destroy_timer(timer)
    graph.report(ChunkReport.PLAYED_EOS)
    assert graph.events_until("advanced") == ["advanced: eos"]


@pytest.mark.parametrize("graph", [{"switch_rule": "vision"}, {}], indirect=True, ids=["vision", "eos"])
def test_the_shipped_model_looks_where_the_rule_looks_and_nobody_else_does(graph):
    looks = graph.planner.get_parameter("switch_rule").value == "vision"
    graph.activate().world()
    cameras = [graph.planner.count_subscribers(f"camera/{name}/image_raw") for name in ("agentview", "eye_in_hand")]
    assert cameras == [looks, looks]
    graph.accepted()
    graph.next_substep()
    if not looks:
        return
    hand = graph.node.create_publisher(Image, "camera/eye_in_hand/image_raw", qos_profile_sensor_data)
    similarity, stamp = -1.0, 0
    while similarity == -1.0:  # frames come by best effort
        stamp += 50_000_000
        graph.frame(100, stamp)
        hand.publish(image_to_message(np.full((8, 8, 3), 100, np.uint8), to_time(stamp), "eye_in_hand"))
        with contextlib.suppress(queue.Empty):
            similarity = graph.feedback.get(timeout=0.5).similarity
    assert 0.0 <= similarity <= 1.0


@pytest.mark.parametrize("graph", [{"switch_rule": "vision"}], indirect=True)
def test_a_camera_that_sends_nothing_is_missed_aloud(graph):
    graph.activate().world()
    timer = graph.node.create_timer(0.02, lambda: graph.frame(100, graph.node.get_clock().now().nanoseconds))
    status = graph.diagnostic("planner: completion")
    while status.level != DiagnosticStatus.ERROR:
        status = graph.diagnostic("planner: completion")
    assert "no frames come of camera eye_in_hand" in status.message
    graph.node.destroy_timer(timer)


@pytest.mark.parametrize("graph", [LOOKING], indirect=True)
def test_with_the_eos_rule_frames_are_scored_for_information_only(graph):
    graph.activate().world()
    graph.accepted()
    graph.next_substep()
    for step in range(1, 5):
        graph.frame(200, step * 50_000_000)
        while graph.feedback.get(timeout=20).similarity != 1.0:
            pass
    graph.report(ChunkReport.PLAYED_EOS)
    assert graph.events_until("advanced") == ["advanced: eos"]


@pytest.mark.parametrize("graph", [{**LOOKING, "switch_rule": "either"}], indirect=True)
def test_a_scorer_that_fails_ends_task_and_node_with_its_reason(graph):
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    graph.frame(255, 50_000_000)
    result = graph.result(handle)
    assert result.error_code == ErrorCode.BACKEND_FAILED
    assert result.message == "the completion scorer failed: RuntimeError: blinded"
    assert graph.fault() == "scorer brightness failed: RuntimeError: blinded"


@pytest.mark.parametrize("graph", [{"library": "MISSING"}], indirect=True)
def test_a_missing_plan_file_fails_configure(graph, capfd):
    assert not graph.transition(Transition.TRANSITION_CONFIGURE)
    assert "parameter decomposers is ['library', 'rules']: " in (error := capfd.readouterr().err) and "MISSING" in error


def test_deactivation_ends_the_task_and_goals_are_rejected_until_the_next_activation(graph):
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    assert graph.transition(Transition.TRANSITION_DEACTIVATE)
    assert graph.result(handle).error_code == ErrorCode.NOT_ACTIVE
    assert graph.next_substep().plan_id == ""
    assert not graph.send(TASK).accepted
    assert graph.decompose(TASK).error_code == ErrorCode.NOT_ACTIVE
    assert graph.transition(Transition.TRANSITION_ACTIVATE)
    graph.accepted()
    assert graph.next_active().instruction == "pick up the milk"


def test_the_node_can_be_cleaned_up_and_configured_again(graph):
    graph.activate()
    assert graph.transition(Transition.TRANSITION_DEACTIVATE)
    assert graph.transition(Transition.TRANSITION_CLEANUP)
    graph.activate().world()
    graph.accepted()
    assert graph.next_substep().instruction == "pick up the milk"
    assert graph.transition(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert graph.state() == State.PRIMARY_STATE_FINALIZED


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


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"substep_timeout": 0}, "parameter substep_timeout must be from 1 to 1000000"),
        ({"bridge_silence": -1.0}, "parameter bridge_silence must be from 0.1 to 86400.0"),
        ({"policy_silence": "long"}, "parameter policy_silence must be from 0.1 to 86400.0"),
        ({"decomposers": ["oracle"]}, "unknown decomposer 'oracle', expected some of library, rules"),
        ({"decomposers": [""]}, "no decomposer is named"),
        ({"decomposers": ["openai"], "openai_url": "here"}, "url is 'here', expected http://"),
        ({"decomposers": ["rules", "rules"]}, "a decomposer is named twice: rules, rules"),
        ({"switch_rule": "vision", "completion": "none"}, "which needs a completion scorer: set parameter completion"),
        ({"completion": "crystal ball"}, "parameter completion is 'crystal ball', expected one of auto, none, compact"),
        ({"switch_rule": "coin"}, "parameter switch_rule is 'coin', expected one of eos, vision"),
        ({"when_busy": "queue"}, "parameter when_busy is 'queue', expected one of reject, preempt"),
    ],
    indirect=["graph"],
)
def test_a_bad_parameter_fails_configure_and_names_itself(graph, expected, capfd):
    assert not graph.transition(Transition.TRANSITION_CONFIGURE)
    assert graph.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert expected in capfd.readouterr().err


def test_a_bad_parameter_can_be_put_right(graph):
    graph.planner.set_parameters([Parameter("decomposers", value=["oracle"])])
    assert not graph.transition(Transition.TRANSITION_CONFIGURE)
    graph.planner.set_parameters([Parameter("decomposers", value=["rules"])])
    assert graph.transition(Transition.TRANSITION_CONFIGURE)


def test_error_codes_are_those_of_the_action():
    constants = {name: getattr(ExecuteTask.Result, name) for name in dir(ExecuteTask.Result) if name.isupper()}
    assert {code.name: code.value for code in ErrorCode} == {
        name: value for name, value in constants.items() if isinstance(value, int)
    }


def test_nothing_is_active_before_the_first_task(graph):
    graph.activate()
    assert graph.substeps.empty()
    assert ActiveSubstep().plan_id == ""

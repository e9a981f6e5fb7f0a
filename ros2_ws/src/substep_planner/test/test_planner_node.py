"""The planner node over real topics, services and its action; client, bridge and policy are played by the test."""

from __future__ import annotations

import gc
import queue
import weakref

import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from std_msgs.msg import String
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActiveSubstep, ChunkReport, TaskStatus

from substep_core.errors import ErrorCode
from substep_core.protocol import Cause, Reason, TaskEvent
from substep_core.ros import topics
from substep_planner.manager.events import TaskFeedback

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
        "grounding (after library)",
    )
    assert (result.substeps_completed, result.substeps_total) == (1, 2)
    assert graph.next_substep().plan_id == ""
    assert graph.events_until(TaskEvent.ADVANCED) == [(TaskEvent.STARTED, Cause.NONE), (TaskEvent.ADVANCED, Cause.EOS)]


def test_feedback_tells_where_the_task_stands(graph):
    graph.activate().world()
    graph.accepted()
    graph.next_substep()
    start = graph.feedback.get(timeout=20)
    assert [step.instruction for step in start.plan] == ["pick up the milk", "place the milk in the basket"]
    assert (start.event, start.event_text) == (TaskEvent.STARTED, "started")
    assert (start.instruction, start.plan_id) == ("pick up the milk", graph.active.plan_id)
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


def test_a_plan_with_what_the_policy_was_not_taught_is_refused_with_that_reason(graph):
    graph.activate().world()
    assert graph.decompose("open the microwave").success, "a policy that does not say is asked for anything"
    graph.policy_skills.publish(String(data="pick up\nplace"))
    assert any(not graph.decompose("open the microwave").success for _ in range(1000)), "it is heard at some time"
    answer = graph.decompose("open the microwave")
    assert answer.error_code == ErrorCode.INVALID_PLAN
    assert "what the policy cannot do: 'open the microwave' is none of what it was taught: pick up" in answer.message
    assert graph.decompose(TASK).success


def test_a_second_goal_is_rejected_and_the_reason_is_published(graph):
    graph.activate().world()
    graph.accepted()
    assert not graph.send("open the microwave").accepted
    rejection = graph.rejections.get(timeout=20)
    assert (rejection.task, rejection.error_code) == ("open the microwave", ErrorCode.BUSY)
    assert rejection.message == "another task is under way; cancel it or wait for its end"
    graph.diagnostic("planner: goals", last_rejection=f"101 BUSY: 'open the microwave': {rejection.message}")


def test_a_planner_that_is_not_active_says_so_too(graph):
    assert graph.execute_task.wait_for_server(20)
    assert not graph.send("open the microwave").accepted
    assert graph.rejections.get(timeout=20).error_code == ErrorCode.NOT_ACTIVE


def test_the_active_substep_is_repeated_as_a_sign_of_life(graph):
    graph.activate().world()
    handle = graph.accepted()
    first = graph.next_substep()
    while not graph.next_sign().plan_id:  # up to the first itself
        pass
    assert [graph.next_sign().plan_id for _ in range(2)] == [first.plan_id] * 2
    graph.cancel(handle)


@pytest.mark.parametrize("plan_id", ["somebody else's", ""])
def test_somebody_elses_active_substep_ends_the_task(graph, plan_id):
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    stranger = topics.ACTIVE_SUBSTEP.publisher(graph.node)
    stranger.publish(ActiveSubstep(plan_id=plan_id))
    result = graph.result(handle)
    assert result.error_code == ErrorCode.ANOTHER_PLANNER
    assert "somebody else publishes" in result.message and "another planner" in result.message


def test_a_goal_accepted_while_the_planner_is_deactivated_ends_at_once(graph):
    graph.activate().world()

    def late(goal):
        graph.planner.is_active = False  # as deactivation leaves it, once it has told every task that it knows of
        graph.planner._goals._on_accepted(goal)

    graph.planner._goals._action.register_handle_accepted_callback(late)
    result = graph.result(graph.accepted())
    assert (result.error_code, result.message) == (ErrorCode.NOT_ACTIVE, "the planner is not active any more")


def test_cleanup_lets_go_of_the_models(graph):
    graph.activate()
    gone: queue.Queue[str] = queue.Queue()  # the thread that answers may hold them for a moment longer
    weakref.finalize(graph.planner._settings, gone.put, "settings")
    weakref.finalize(graph.planner._settings.decomposers[0], gone.put, "decomposer")
    assert graph.transition(Transition.TRANSITION_DEACTIVATE) and graph.transition(Transition.TRANSITION_CLEANUP)
    gc.collect()
    assert {gone.get(timeout=20), gone.get(timeout=20)} == {"settings", "decomposer"}
    assert graph.transition(Transition.TRANSITION_CONFIGURE)


@pytest.mark.parametrize("graph", [{"when_busy": "preempt"}], indirect=True)
def test_a_second_goal_preempts_the_first_where_that_is_asked_for(graph, capfd):
    graph.activate().world()
    first = graph.accepted()
    assert graph.next_substep().task == TASK
    second = graph.accepted("open the microwave")
    assert graph.result(first).error_code == ErrorCode.PREEMPTED
    assert graph.next_active().task == "open the microwave"
    graph.report(ChunkReport.PLAYED_EOS)
    assert graph.result(second).success
    assert "task 'open the microwave' is done: " in capfd.readouterr().err


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


def test_a_client_without_actions_begins_a_task_and_hears_of_its_end(graph):
    graph.activate().world()
    assert graph.statuses_of_tasks.get(timeout=20).state == TaskStatus.NONE
    assert graph.start(TASK).success
    graph.next_substep()
    refused = graph.start("open the microwave")
    assert (refused.success, refused.error_code) == (False, ErrorCode.BUSY)
    assert refused.message == "another task is under way; cancel it or wait for its end"
    running = graph.next_task_status(TaskStatus.RUNNING)
    assert (running.task, running.instruction, running.substeps_total) == (TASK, "pick up the milk", 2)
    for _ in range(2):
        graph.report(ChunkReport.PLAYED_EOS)
        graph.next_substep()
    done = graph.next_task_status(TaskStatus.SUCCEEDED)
    assert (done.task, done.substeps_completed, done.substeps_total) == (TASK, 2, 2)


def test_stop_task_ends_a_task_however_it_was_begun(graph):
    graph.activate().world()
    assert not graph.stop().success, "nothing is under way"
    handle = graph.accepted()
    graph.next_substep()
    assert graph.stop().success
    assert (graph.result(handle).error_code, graph.status(handle)) == (ErrorCode.CANCELED, GoalStatus.STATUS_ABORTED)
    graph.next_task_status(TaskStatus.FAILED)
    while graph.start("").error_code == ErrorCode.BUSY:  # the result goes out before the planner is free
        pass
    assert graph.next_active().instruction == "pick up the milk"
    assert graph.stop().success
    end = graph.next_task_status(TaskStatus.FAILED)
    assert (end.error_code, end.message) == (ErrorCode.CANCELED, "canceled by stop_task")


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
    assert graph.events_until(TaskEvent.REPLANNED) == [
        (TaskEvent.STARTED, Cause.NONE),
        (TaskEvent.RETRIED, Cause.TIMEOUT),
        (TaskEvent.REPLANNING, Cause.TIMEOUT),
        (TaskEvent.REPLANNED, Cause.NONE),
    ]


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


@pytest.mark.parametrize("graph", [{"replans": 1, "retries": 0, "substep_timeout": 50}], indirect=True)
def test_no_sentence_is_needed_to_plan_again_to_advance_and_to_refuse(graph, monkeypatch):
    monkeypatch.setattr(Reason, "text", "")
    monkeypatch.setattr(TaskFeedback, "event_text", "")
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    graph.refuse("")
    first = graph.next_active()
    graph.report(ChunkReport.REJECTED)
    graph.report(ChunkReport.PLAYED_EOS)
    assert graph.next_substep().index == first.index + 1
    graph.refuse("")
    assert graph.result(handle).error_code == ErrorCode.POLICY_FAILED
    assert graph.events_until(TaskEvent.ADVANCED) == [
        (TaskEvent.STARTED, Cause.NONE),
        (TaskEvent.REPLANNING, Cause.POLICY_REFUSED),
        (TaskEvent.REPLANNED, Cause.NONE),
        (TaskEvent.CHUNK_REJECTED, Cause.GUARD),
        (TaskEvent.ADVANCED, Cause.EOS),
    ]


@pytest.mark.parametrize("graph", [{"replans": 0}], indirect=True)
def test_a_policy_that_refuses_ends_the_task_with_its_own_words(graph):
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    graph.refuse("there is no milk in the scene")
    result = graph.result(handle)
    assert result.error_code == ErrorCode.POLICY_FAILED and "there is no milk in the scene" in result.message


@pytest.mark.parametrize(
    ("graph", "code", "message"),
    [
        ({"decomposers": ["babbling"]}, ErrorCode.INVALID_PLAN, "babbling: the answer is not JSON"),
        ({"decomposers": ["hanging"], "planning_timeout": 0.3}, ErrorCode.BACKEND_FAILED, "no plan within 0.3 s"),
        (
            {"decomposers": ["openai", "babbling"], "openai_url": "http://127.0.0.1:9/v1", "server_retries": 0},
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
            plan = graph.decompose(TASK).substeps  # none where no frame has come yet
            effect = plan[0].expected_effect if plan else ""
    graph.accepted()
    assert graph.next_substep().expected_effect == effect


def test_decompose_task_answers_without_executing(graph):
    graph.activate()
    assert graph.decompose("").error_code == ErrorCode.EMPTY_INSTRUCTION, "there is no episode yet"
    graph.world(suite="libero_goal", instruction="turn on the stove")
    answer = graph.decompose("turn on the stove")
    assert (answer.success, answer.source) == (True, "library:libero_goal")
    assert [step.instruction for step in answer.substeps] == ["turn on the stove"]
    assert graph.decompose("") == answer, "nothing said means the episode's own instruction"
    assert graph.decompose(" ").error_code == ErrorCode.EMPTY_INSTRUCTION
    refused = graph.decompose("sing a song")
    assert (refused.success, refused.error_code) == (False, ErrorCode.NO_PLAN)
    assert "library: no plan" in refused.message and "rules: no plan" in refused.message
    assert graph.substeps.empty()


def test_what_there_is_to_say_about_a_plan_is_in_diagnostics(graph):
    graph.activate()
    graph.decompose(TASK)
    status = graph.diagnostic("planner: plan", source="grounding (after library)")
    values = {item.key: item.value for item in status.values}
    assert status.level == DiagnosticStatus.WARN
    assert "library: no plan for 'put the milk in the basket'" in values["remarks"]


@pytest.mark.parametrize(
    ("graph", "code", "why"),
    [
        ({"decomposers": ["rules"]}, ErrorCode.INVALID_PLAN, "the scene has no basket"),
        ({}, ErrorCode.NO_PLAN, "the scene has no 'the basket'; understood: 'the milk': milk"),
    ],
    indirect=["graph"],
)
def test_a_plan_with_things_that_the_scene_lacks_is_not_carried_out(graph, code, why):
    graph.activate()
    answer = graph.decompose(TASK)
    while answer.success:  # the scene comes by best effort
        graph.scene("milk", "plate")
        answer = graph.decompose(TASK)
    assert answer.error_code == code and why in answer.message


@pytest.mark.parametrize("graph", [{"objects": ["milk", "basket"]}], indirect=True)
def test_a_robot_without_a_scene_says_what_is_there_by_a_parameter(graph):
    graph.activate()
    answer = graph.decompose("could somebody please drop the dairy drink into the hamper")
    assert [step.instruction for step in answer.substeps] == ["pick up the milk", "place the milk in the basket"]
    assert "the scene has no" in graph.decompose("put the ketchup in the basket").message


def test_diagnostics_tell_the_task_and_its_end(graph):
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    status = graph.diagnostic("planner: task", substep_index="0", plan_source="grounding (after library)")
    assert status.message == "pick up the milk"
    graph.cancel(handle)
    graph.diagnostic("planner: task", error_code="103 CANCELED")

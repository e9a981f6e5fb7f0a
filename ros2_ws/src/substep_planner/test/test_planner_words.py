"""The planner node asks the policy node for its own words; the test plays that node."""

from __future__ import annotations

import queue

import pytest
from rcl_interfaces.msg import Log
from substep_interfaces.msg import ChunkReport
from substep_interfaces.srv import NameSubstep

from substep_core.errors import ErrorCode
from substep_core.named_substep import TASK_DONE
from substep_core.protocol import Cause, TaskEvent
from substep_core.ros import topics

TASK = "put the milk in the basket"
PICK, PLACE = "pick up the milk", "place the milk in the basket"


def policy_says(graph, *texts: str) -> list[str]:
    """Answer so, one after the other and the last for ever; -> tasks that were asked about."""
    asked: list[str] = []

    def answer(request: NameSubstep.Request, response: NameSubstep.Response) -> NameSubstep.Response:
        text = texts[min(len(asked), len(texts) - 1)]
        asked.append(request.task)
        return NameSubstep.Response(success=True, instruction=text, probability=0.9, is_complete=True)

    topics.NAME_SUBSTEP.server(graph.node, answer)
    return asked


@pytest.mark.parametrize("graph", [{"decomposers": ["policy"]}], indirect=True)
def test_the_policys_words_are_the_substeps_until_it_says_that_the_task_is_done(graph):
    asked = policy_says(graph, PICK, PLACE, TASK_DONE)
    graph.activate().world()
    handle = graph.accepted()
    first = graph.next_substep()
    assert (first.index, first.count, first.instruction) == (0, 1, PICK)
    assert first.expected_effect == "the gripper holds the milk in the air"
    graph.report(ChunkReport.PLAYED_EOS)
    second = graph.next_substep()
    assert (second.plan_id, second.index, second.count, second.instruction) == (first.plan_id, 1, 2, PLACE)
    graph.report(ChunkReport.PLAYED_EOS)
    result = graph.result(handle)
    assert (result.success, result.plan_source, result.substeps_completed) == (True, "policy", 2)
    assert result.message == "policy says that the task is done" and asked == [TASK] * 3


@pytest.mark.parametrize("graph", [{"decomposers": ["policy", "rules"]}], indirect=True)
def test_words_that_cannot_be_carried_out_are_passed_over_visibly(graph):
    policy_says(graph, "pick up the mug")
    graph.activate().world()
    graph.scene("milk", "basket")
    handle = graph.accepted()
    assert graph.next_substep().count == 2
    status = graph.diagnostic("planner: plan", source="rules (after policy)")
    remarks = {item.key: item.value for item in status.values}["remarks"]
    assert remarks == "policy: the policy says 'pick up the mug', and the scene has no mug"
    graph.cancel(handle)


@pytest.mark.parametrize("graph", [{"decomposers": ["policy", "rules"]}], indirect=True)
def test_words_that_change_a_task_are_not_the_policys_to_plan(graph):
    """It names one substep of what is under way: that would be taken for all that was asked for."""
    asked = policy_says(graph, "dance", PICK)
    graph.activate().world()
    handle = graph.accepted()
    assert graph.next_substep().instruction == PICK
    changed = graph.revise("and then put the ketchup in the basket")
    assert changed.success, changed.message
    more = ["pick up the ketchup", "place the ketchup in the basket"]
    assert [step.instruction for step in changed.substeps] == [PICK, PLACE, *more] and asked == [TASK]
    graph.cancel(handle)


@pytest.mark.parametrize("graph", [{"decomposers": ["policy"], "words_timeout": 0.2}], indirect=True)
def test_a_policy_without_words_is_no_decomposer(graph):
    graph.activate().world()
    result = graph.result(graph.accepted())
    assert result.error_code == ErrorCode.BACKEND_FAILED
    assert "no policy whose model has words offers" in result.message


UNHEARD = {"completion": "policy", "completion_frames": 1, "completion_rate": 1000.0, "words_timeout": 0.2}


@pytest.mark.parametrize("graph", [{**UNHEARD, "switch_rule": "either"}], indirect=True)
def test_a_judge_that_is_not_there_ends_the_task_and_may_be_there_in_the_next(graph):
    graph.activate().world()
    handle = graph.accepted()
    assert graph.next_substep().instruction == PICK
    graph.frame(0, 50_000_000)
    result = graph.result(handle)
    assert result.error_code == ErrorCode.BACKEND_FAILED
    assert "scorer policy: no policy whose model has words offers" in result.message
    assert graph.next_substep().plan_id == "", "it lets go"
    policy_says(graph, PLACE)
    handle = graph.accepted()
    assert graph.next_substep().instruction == PICK
    graph.frame(0, 100_000_000)
    assert graph.next_substep().instruction == PLACE
    graph.cancel(handle)


@pytest.mark.parametrize("graph", [{**UNHEARD, "switch_rule": "eos"}], indirect=True)
def test_a_judge_that_only_informs_and_is_not_there_leaves_the_task_alone(graph):
    logged: queue.Queue[Log] = queue.Queue()
    topics.ROSOUT.subscription(graph.node, logged.put)
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    graph.frame(0, 50_000_000)
    while "scorer policy: no policy whose model has words offers" not in logged.get(timeout=20).msg:
        pass
    graph.report(ChunkReport.PLAYED_EOS)
    graph.next_substep()
    graph.report(ChunkReport.PLAYED_EOS)
    assert graph.result(handle).success


LOOKING = {"completion": "policy", "switch_rule": "vision", "completion_frames": 1, "completion_rate": 1000.0}


@pytest.mark.parametrize("graph", [LOOKING], indirect=True)
def test_a_substep_is_done_when_the_policy_names_another_one(graph):
    asked = policy_says(graph, PICK, PLACE)
    graph.activate().world()
    handle = graph.accepted()
    assert graph.next_substep().instruction == PICK
    graph.frame(0, 50_000_000)
    while graph.feedback.get(timeout=20).similarity != 0.0:
        pass
    graph.frame(0, 100_000_000)
    assert graph.next_substep().instruction == PLACE
    assert graph.events_until(TaskEvent.ADVANCED)[-1] == (TaskEvent.ADVANCED, Cause.VISION)
    assert set(asked) == {TASK}
    graph.cancel(handle)

"""The planner node asks the policy node for its own words; the test plays that node."""

from __future__ import annotations

import pytest
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


@pytest.mark.parametrize("graph", [{"decomposers": ["policy"], "words_timeout": 0.2}], indirect=True)
def test_a_policy_without_words_is_no_decomposer(graph):
    graph.activate().world()
    result = graph.result(graph.accepted())
    assert result.error_code == ErrorCode.BACKEND_FAILED
    assert "no policy whose model has words offers" in result.message


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

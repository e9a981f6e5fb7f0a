"""A running task is changed by words over the service revise_task; client, bridge and policy are played by the test."""

from __future__ import annotations

import pytest
from substep_interfaces.msg import ChunkReport
from substep_interfaces.srv import ReviseTask

from substep_core.errors import ErrorCode
from substep_core.protocol import Cause, TaskEvent

OBJECTS = ["milk", "ketchup", "basket", "microwave", "plate"]
in_the_scene = pytest.mark.parametrize("graph", [{"objects": OBJECTS}], indirect=True)


def instructions(response) -> list[str]:
    return [step.instruction for step in response.substeps]


@in_the_scene
def test_a_word_stops_the_task(graph):
    graph.activate().world()
    refused = graph.revise("stop")
    assert (refused.success, refused.error_code) == (False, ErrorCode.NO_PLAN)
    assert refused.message == "no task is under way: none yet"
    handle = graph.accepted()
    graph.next_substep()
    stopped = graph.revise("Stop, please!")
    assert (stopped.success, stopped.stopped, instructions(stopped)) == (True, True, [])
    result = graph.result(handle)
    assert (result.error_code, result.message) == (ErrorCode.CANCELED, "stopped by 'Stop, please!'")
    assert graph.next_substep().plan_id == ""
    assert "ended with CANCELED: stopped by" in graph.revise("no, the ketchup").message


@pytest.mark.parametrize("graph", [{"objects": OBJECTS, "decomposers": ["rules", "hanging"]}], indirect=True)
def test_a_word_stops_the_task_while_others_are_being_understood(graph):
    """The decomposer hangs until the test is over, so the stop can be had before its answer alone."""
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    pending = graph.revise_task.call_async(ReviseTask.Request(words="no, the unheard of thing"))
    assert graph.hanging.asked.wait(20)
    refused = graph.revise("no, the ketchup")
    assert refused.error_code == ErrorCode.BUSY and "is still being understood" in refused.message
    assert graph.revise("stop the robot").stopped
    assert graph.result(handle).error_code == ErrorCode.CANCELED
    assert not graph.wait(pending).success


@in_the_scene
def test_words_correct_the_task_and_what_is_done_is_kept(graph):
    graph.activate().world()
    handle = graph.accepted()
    first = graph.next_substep()
    changed = graph.revise("no, the ketchup")
    assert changed.success, changed.message
    assert instructions(changed) == ["pick up the ketchup", "place the ketchup in the basket"]
    again = graph.next_active()
    assert (again.instruction, again.index, again.count) == ("pick up the ketchup", 0, 2)
    assert again.plan_id != first.plan_id
    graph.report(ChunkReport.PLAYED_EOS)
    assert graph.next_substep().instruction == "place the ketchup in the basket"
    moved = graph.revise("instead put it on the plate")
    assert instructions(moved) == ["place the ketchup on the plate"]
    assert graph.next_active().instruction == "place the ketchup on the plate"
    refused = graph.revise("no, the banana")
    assert (refused.success, instructions(refused)) == (False, instructions(moved))
    assert "the scene has no" in refused.message
    graph.report(ChunkReport.PLAYED_EOS)
    result = graph.result(handle)
    assert (result.success, result.substeps_completed, result.substeps_total) == (True, 2, 2)
    assert result.plan_source.endswith(" (revised)")
    assert graph.events_until(TaskEvent.REVISED) == [(TaskEvent.STARTED, Cause.NONE), (TaskEvent.REVISED, Cause.NONE)]


@in_the_scene
def test_words_add_to_the_task_and_what_is_under_way_goes_on(graph):
    graph.activate().world()
    handle = graph.accepted("put the milk in the microwave")
    first = graph.next_substep()
    more = graph.revise("and then close it")
    assert instructions(more) == ["pick up the milk", "place the milk in the microwave", "close the microwave"]
    for index in (1, 2):
        graph.report(ChunkReport.PLAYED_EOS)
        following = graph.next_substep()
        assert (following.plan_id, following.index, following.count) == (first.plan_id, index, 3)
    assert following.instruction == "close the microwave"
    graph.report(ChunkReport.PLAYED_EOS)
    assert graph.result(handle).success

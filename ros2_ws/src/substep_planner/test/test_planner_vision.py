"""The planner node looks: frames over real topics advance, confirm or only inform, as its switch rule says."""

from __future__ import annotations

import contextlib
import queue
from dataclasses import replace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import Header
from substep_interfaces.msg import ChunkReport

from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.errors import ErrorCode
from substep_core.protocol import Cause, TaskEvent
from substep_core.ros.messages import image_to_message, to_time
from substep_core.ros.topics import camera_image

TASK = "put the milk in the basket"

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
    assert graph.events_until(TaskEvent.ADVANCED) == [(TaskEvent.ADVANCED, Cause.VISION)]


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
    assert graph.events_until(TaskEvent.ADVANCED)[-1][1] is Cause.EOS_CONFIRMED_BY_VISION


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
    assert graph.events_until(TaskEvent.ADVANCED) == [(TaskEvent.ADVANCED, Cause.EOS)]


@pytest.mark.parametrize("graph", [{"switch_rule": "vision"}, {}], indirect=True, ids=["vision", "eos"])
def test_the_shipped_model_looks_where_the_rule_looks_and_nobody_else_does(graph):
    looks = graph.planner.get_parameter("switch_rule").value == "vision"
    graph.activate().world()
    cameras = [graph.planner.count_subscribers(camera_image(name).name) for name in ("agentview", "eye_in_hand")]
    assert cameras == [looks, looks]
    graph.accepted()
    graph.next_substep()
    if not looks:
        return
    hand = camera_image("eye_in_hand").publisher(graph.node)
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
def test_a_camera_given_by_its_role_has_the_name_that_the_robot_gives_it(graph):
    panda = load_robot(LIBERO_PANDA)
    graph.robot(replace(panda, name="ceiling", cameras=(replace(panda.cameras[0], name="overhead"),)))
    graph.activate().world()
    assert [graph.planner.count_subscribers(camera_image(name).name) for name in ("overhead", "agentview")] == [1, 0]


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
    assert graph.events_until(TaskEvent.ADVANCED) == [(TaskEvent.ADVANCED, Cause.EOS)]


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

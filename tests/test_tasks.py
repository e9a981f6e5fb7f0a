"""Whole tasks on the running graph: the demonstrator does one of each suite."""

from __future__ import annotations

import signal

import pytest
from substep_interfaces.action import ExecuteTask

from substep_bringup.graph_config import GraphConfig
from substep_core.protocol import Cause, HoldKind, TaskEvent
from substep_core.ros import topics
from tests.probe import Goal
from tests.running_graph import SMALL

pytestmark = pytest.mark.xdist_group("tasks")
TASKS = {"libero_object": 0, "libero_spatial": 2, "libero_goal": 8, "libero_10": 0, "libero_90": 1}

POLICY_SILENCE = 3.0  # s


@pytest.fixture(scope="module")
def graph(start_graph):
    return start_graph(GraphConfig(suite="libero_object", task=0, policy="demonstrator", image_size=SMALL)).bring_up()


@pytest.mark.parametrize("suite", TASKS)
def test_the_demonstrator_does_a_task_of_each_suite(graph, suite):
    probe = graph.probe
    episode = probe.reset(suite=suite, task_index=TASKS[suite])
    goal = Goal(probe, "")
    result = goal.result(timeout=120.0)
    assert result.success, result.message
    last = probe.wait(lambda: probe.statuses[-1].done and probe.statuses[-1], "the world's verdict")
    assert (last.suite, last.success, last.episode) == (suite, True, episode.episode)
    events = [(item.event, item.cause) for item in goal.feedback]
    assert (TaskEvent.STARTED, Cause.NONE) in events and (TaskEvent.ADVANCED, Cause.EOS) in events


def test_a_substep_that_the_policy_cannot_do_aborts_the_task_with_the_policys_reason(graph):
    graph.probe.reset(suite="libero_object", task_index=0)
    result = Goal(graph.probe, "pick up the basket").result()
    assert result.error_code == ExecuteTask.Result.POLICY_FAILED
    assert "the policy gives no chunk for" in result.message and "too wide for the hand" in result.message
    assert graph.probe.statuses[-1].step == 0


def test_a_policy_killed_in_mid_task_leaves_the_arm_where_it_is_and_aborts_the_task(graph):
    probe = graph.probe
    probe.configure_anew("planner", policy_silence=POLICY_SILENCE)
    probe.reset(suite="libero_object", task_index=0)
    goal = Goal(probe, "")
    probe.wait(lambda: probe.statuses[-1].step > 10, "ten steps")
    graph.processes["policy"].send(signal.SIGKILL)  # the last test of this graph
    probe.wait(lambda: probe.requests[-1] == probe.requests[-2], "a request that is repeated")
    poses = probe.record(topics.EEF_POSE)
    result = goal.result(timeout=POLICY_SILENCE + 20.0)
    assert result.error_code == ExecuteTask.Result.POLICY_SILENT
    assert len(poses) > 1 and all(pose == poses[0] for pose in poses)
    probe.wait(lambda: probe.statuses[-1].hold_kind == HoldKind.WAITING_FOR_A_SUBSTEP, "the hold after the abort")
    probe.reset()  # the bridge is well

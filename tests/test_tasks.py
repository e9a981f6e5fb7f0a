"""Whole tasks on the running graph: the demonstrator does one of each suite."""

from __future__ import annotations

import pytest

from substep_bringup.graph import GraphConfig
from tests.probe import Goal
from tests.running_graph import SMALL

pytestmark = pytest.mark.xdist_group("tasks")
TASKS = {"libero_object": 0, "libero_spatial": 2, "libero_goal": 8, "libero_10": 0, "libero_90": 1}


@pytest.fixture(scope="module")
def graph(start_graph):
    return start_graph(GraphConfig(suite="libero_object", task=0, image_size=SMALL)).bring_up()


@pytest.mark.parametrize("suite", TASKS)
def test_the_demonstrator_does_a_task_of_each_suite(graph, suite):
    probe = graph.probe
    episode = probe.reset(suite=suite, task_index=TASKS[suite])
    goal = Goal(probe, "")
    result = goal.result(timeout=120.0)
    assert result.success, result.message
    last = probe.wait(lambda: probe.statuses[-1].done and probe.statuses[-1], "the world's verdict")
    assert (last.suite, last.success, last.episode) == (suite, True, episode.episode)
    events = [feedback.event for feedback in goal.feedback]
    assert "started" in events and "advanced: eos" in events

"""A toy π0.5 that says that all is done: the running graph plans without its words.

A module of its own, since a graph ends with its module and two would answer to the same names.
"""

from __future__ import annotations

import pytest

from substep_bringup.graph_config import GraphConfig
from substep_core.named_substep import TASK_DONE
from tests.pi05.toy_checkpoint import write_talker
from tests.probe import Goal
from tests.running_graph import SMALL

pytestmark = pytest.mark.xdist_group("pi05")


def test_words_that_cannot_be_a_plan_leave_it_to_the_next_decomposer_and_judge_its_substeps(
    start_graph, tmp_path_factory
):
    """It says from the beginning that the task is done: no plan by its words, and a judge to whom all is done."""
    config = GraphConfig(
        suite="libero_object",
        task=0,
        image_size=SMALL,
        policy=str(write_talker(tmp_path_factory.mktemp("pi05") / "done", TASK_DONE)),
        decomposers=("policy", "library"),
    )
    told = {"switch_rule": "vision", "completion": "policy", "completion_threshold": 0.1, "retries": 0, "replans": 0}
    graph = start_graph(config, parameters={"policy": {"device": "cpu"}, "planner": told})
    graph.bring_up()
    goal = Goal(graph.probe, "")
    assert goal.accepted
    result = goal.result()
    assert result.plan_source.endswith("(after policy)")
    assert f"the policy says {TASK_DONE!r}, and nothing was done yet" in graph.log("planner")
    issued = dict.fromkeys((item.index, item.instruction) for item in graph.probe.substeps if item.plan_id)
    assert list(issued) == [(0, "pick up the alphabet soup"), (1, "place the alphabet soup in the basket")]
    assert result.substeps_completed == 2

"""A toy π0.5 in a published layout drives the running graph, and names its own substeps."""

from __future__ import annotations

import pytest
from lifecycle_msgs.msg import Transition

from substep_bringup.graph_config import GraphConfig
from substep_core.errors import ErrorCode
from tests.pi05.toy_checkpoint import write_talker
from tests.probe import Goal
from tests.running_graph import SMALL

pytestmark = pytest.mark.xdist_group("pi05")
IMPORTS = 240.0  # s, the first configure imports PyTorch and transformers, which a loaded machine takes minutes for
WORDS = "pick up the alphabet soup"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_talker(tmp_path_factory.mktemp("pi05") / "toy", WORDS)


@pytest.fixture(scope="module")
def graph(start_graph, checkpoint):
    config = GraphConfig(
        suite="libero_object", task=0, image_size=SMALL, policy=str(checkpoint), decomposers=("policy",)
    )
    return start_graph(config, parameters={"policy": {"device": "cpu"}})


def test_a_policy_without_words_refuses_to_be_asked_for_them(graph, checkpoint):
    probe = graph.probe
    probe.wait(lambda: probe.hears("policy"), "node policy")
    assert probe.set_parameter("policy", "policy", "compact").successful
    assert not probe.transition("policy", Transition.TRANSITION_CONFIGURE, IMPORTS)
    assert "names no substeps, its model has no words: take one that has, such as a π0.5" in graph.log("policy")
    assert probe.set_parameter("policy", "policy", str(checkpoint)).successful


def test_it_acts_on_its_own_words_until_they_repeat_themselves(graph, checkpoint):
    probe = graph.probe
    graph.bring_up()
    goal = Goal(probe, "")
    assert goal.accepted
    result = goal.result()
    issued = dict.fromkeys((item.index, item.count, item.instruction) for item in probe.substeps if item.plan_id)
    assert list(issued) == [
        (0, 1, WORDS),
        (1, 2, WORDS),
        (2, 3, WORDS),
    ]
    assert probe.chunks[0].model == f"pi05:{checkpoint.name}" and probe.chunks[0].horizon == 1
    assert (result.error_code, result.plan_source, result.substeps_completed) == (ErrorCode.INVALID_PLAN, "policy", 3)
    assert f"the policy says {WORDS!r}, which was done 3 times already" in result.message

"""Bad parameters of the real nodes: configure fails and says which, with its value and what would be right."""

from __future__ import annotations

import re

import pytest
from lifecycle_msgs.msg import Transition

from substep_bringup.graph_config import GraphConfig
from tests.running_graph import SMALL

pytestmark = pytest.mark.xdist_group("configure")


@pytest.fixture(scope="module")
def graph(start_graph):
    """Processes that were given bad parameters from the start, nothing configured."""
    config = GraphConfig(suite="libero_object", task=0, policy="demonstrator", image_size=SMALL)
    wrong = {
        "bridge": {"suite": "libero_kitchen", "safety.max_step.translation": 7.5},
        "policy": {"policy": "telepathy", "eos_threshold": 1.5},
        "planner": {"switch_rule": "never", "substep_timeout": 0},
    }
    return start_graph(config, parameters=wrong)


def refusal(graph, node: str) -> str:
    """What the node logs when it refuses to be configured."""
    before = len(graph.log(node))
    assert not graph.probe.transition(node, Transition.TRANSITION_CONFIGURE)
    assert graph.probe.state(node) == "unconfigured"
    return graph.log(node)[before:]


FAULTS = {
    "bridge": [
        ("suite", "libero_object", "unknown suite 'libero_kitchen': expected one of .*libero_90"),
        ("safety.max_step.translation", 0.1, r"safety.max_step.translation must be from 0.0001 to 6.3: .*7\.5"),
    ],
    "policy": [
        ("policy", "demonstrator", "unknown policy 'telepathy': expected one of .*demonstrator"),
        ("eos_threshold", -1.0, r"parameter eos_threshold must be from -1.0 to 1.0: .*1\.5"),
    ],
    "planner": [
        ("switch_rule", "eos", "parameter switch_rule is 'never', expected one of .*eos"),
        ("substep_timeout", 100, "parameter substep_timeout must be from 1 to 1000000: .*0"),
    ],
}


@pytest.mark.parametrize("node", FAULTS)
def test_a_node_refuses_bad_parameters_until_they_are_put_right(graph, node):
    expected = dict.fromkeys(message for _, _, message in FAULTS[node])
    for _ in FAULTS[node]:
        text = refusal(graph, node)
        (named,) = [(name, value, message) for name, value, message in FAULTS[node] if re.search(message, text)]
        expected.pop(named[2])
        assert graph.probe.set_parameter(node, *named[:2]).successful
    assert not expected
    assert graph.probe.transition(node, Transition.TRANSITION_CONFIGURE)


@pytest.mark.parametrize(
    ("name", "bad", "good", "expected"),
    [
        ("task_index", 10, 0, "task 10 is not in suite 'libero_object': expected 0 to 9"),
        ("assets", "/nowhere", "embedded", "'/nowhere'"),
        ("cameras", ["overhead"], ["agentview"], "parameter cameras: no camera of robot libero_panda is called"),
    ],
)
def test_the_bridge_names_what_it_cannot_do(graph, name, bad, good, expected):
    probe = graph.probe
    if probe.state("bridge") == "inactive":
        assert probe.transition("bridge", Transition.TRANSITION_CLEANUP)
    assert probe.set_parameter("bridge", name, bad).successful
    text = refusal(graph, "bridge")
    assert probe.set_parameter("bridge", name, good).successful
    assert expected in text


@pytest.mark.parametrize(
    ("name", "value"), [("init_state", -2), ("image_height", 5000), ("clock", "sundial"), ("world", "two_arms")]
)
def test_a_value_outside_its_range_or_choices_is_turned_down_at_once(graph, name, value):
    result = graph.probe.set_parameter("bridge", name, value)
    assert not result.successful and name in result.reason

"""The planner node's parameters and life cycle."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from rclpy.parameter import Parameter
from substep_interfaces.msg import ActiveSubstep

from substep_core.errors import ErrorCode

TASK = "put the milk in the basket"


@pytest.mark.parametrize("graph", [{"library": "MISSING"}], indirect=True)
def test_a_missing_plan_file_fails_configure(graph, capfd):
    assert not graph.transition(Transition.TRANSITION_CONFIGURE)
    error = capfd.readouterr().err
    assert "parameter decomposers is ['library', 'grounding', 'rules']: " in error and "MISSING" in error


def test_deactivation_ends_the_task_and_goals_are_rejected_until_the_next_activation(graph):
    graph.activate().world()
    handle = graph.accepted()
    graph.next_substep()
    assert graph.transition(Transition.TRANSITION_DEACTIVATE)
    assert graph.result(handle).error_code == ErrorCode.NOT_ACTIVE
    assert graph.next_substep().plan_id == ""
    assert not graph.send(TASK).accepted
    assert graph.decompose(TASK).error_code == ErrorCode.NOT_ACTIVE
    assert graph.transition(Transition.TRANSITION_ACTIVATE)
    graph.accepted()
    assert graph.next_active().instruction == "pick up the milk"


def test_the_node_can_be_cleaned_up_and_configured_again(graph):
    graph.activate()
    assert graph.transition(Transition.TRANSITION_DEACTIVATE)
    assert graph.transition(Transition.TRANSITION_CLEANUP)
    graph.activate().world()
    graph.accepted()
    assert graph.next_substep().instruction == "pick up the milk"
    assert graph.transition(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert graph.state() == State.PRIMARY_STATE_FINALIZED


@pytest.mark.parametrize("graph", [{"decomposers": ["unreachable", "rules"]}], indirect=True)
def test_a_decomposer_that_cannot_be_loaded_counts_as_failed_and_the_next_is_asked(graph, capfd):
    graph.activate()
    assert "decomposer unreachable cannot be loaded: OSError: no server at \\x1b[2J" in capfd.readouterr().err
    status = graph.diagnostic("planner: plan", failed="unreachable cannot be loaded")
    assert status.level == DiagnosticStatus.WARN
    assert graph.decompose(TASK).source == "rules (after unreachable)"


@pytest.mark.parametrize("graph", [{"decomposers": ["unreachable"]}], indirect=True)
def test_configure_fails_where_no_decomposer_can_be_loaded(graph, capfd):
    assert not graph.transition(Transition.TRANSITION_CONFIGURE)
    assert "parameter decomposers is ['unreachable']: unreachable cannot be loaded" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"substep_timeout": 0}, "parameter substep_timeout must be from 1 to 1000000"),
        ({"bridge_silence": -1.0}, "parameter bridge_silence must be from 0.1 to 86400.0"),
        ({"policy_silence": "long"}, "parameter policy_silence must be from 0.1 to 86400.0"),
        (
            {"decomposers": ["oracle"]},
            "unknown decomposer 'oracle': expected one of anthropic (substep_planner 0.1.0), babbling",
        ),
        ({"decomposers": [""]}, "no decomposer is named"),
        ({"decomposers": ["openai"], "openai_url": "here"}, "url is 'here', expected http://"),
        ({"decomposers": ["openai", "rules"], "prompt": "MISSING"}, "prompt: [Errno 2] No such file"),
        ({"decomposers": ["rules", "rules"]}, "a decomposer is named twice: rules, rules"),
        ({"switch_rule": "vision", "completion": "none"}, "which needs a completion scorer: set parameter completion"),
        (
            {"completion": "crystal ball"},
            "completion is 'crystal ball', expected one of auto, none, brightness, compact",
        ),
        ({"switch_rule": "coin"}, "parameter switch_rule is 'coin', expected one of either, eos"),
        ({"when_busy": "queue"}, "parameter when_busy is 'queue', expected one of reject, preempt"),
    ],
    indirect=["graph"],
)
def test_a_bad_parameter_fails_configure_and_names_itself(graph, expected, capfd):
    assert not graph.transition(Transition.TRANSITION_CONFIGURE)
    assert graph.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert expected in capfd.readouterr().err


def test_a_bad_parameter_can_be_put_right(graph):
    graph.planner.set_parameters([Parameter("decomposers", value=["oracle"])])
    assert not graph.transition(Transition.TRANSITION_CONFIGURE)
    graph.planner.set_parameters([Parameter("decomposers", value=["rules"])])
    assert graph.transition(Transition.TRANSITION_CONFIGURE)


def test_nothing_is_active_before_the_first_task(graph):
    graph.activate()
    assert graph.substeps.empty()
    assert ActiveSubstep().plan_id == ""

"""The bridge node's parameters, life cycle and end."""

from __future__ import annotations

import signal

import pytest
from lifecycle_msgs.msg import Transition

from substep_core.ros import topics

pytestmark = [pytest.mark.xdist_group("bridge_node")]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"suite": "libero_x"}, ["suite", "libero_x", "libero_goal"]),
        ({"task_index": 10}, ["task_index", "10", "0 to 9"]),
        ({"task_index": 1000}, ["task_index", "1000", "0 to 9"]),
        ({"assets": "/nowhere"}, ["assets", "/nowhere"]),
        ({"cameras": ["frontview"]}, ["cameras", "frontview", "agentview"]),
        ({"image_height": 4}, ["image_height", "4", "16"]),
        ({"clock": "sundial"}, ["clock", "sundial", "lockstep"]),
        ({"placement": "anywhere"}, ["placement", "anywhere", "widened"]),
        ({"safety.max_step.translation": -1.0}, ["safety.max_step.translation", "-1.0"]),
        ({"safety.workspace_low": [0.0, 0.0]}, ["safety.workspace_low", "three numbers"]),
        ({"safety.workspace_low": [0.0, 0.0, 2.0]}, ["safety.workspace_low", "2.0"]),
    ],
)
def test_a_bad_parameter_fails_configure_and_is_named(unconfigured_bridge, parameters, words):
    with unconfigured_bridge(**parameters) as puppet:
        complaints = []
        topics.ROSOUT.subscription(puppet.node, lambda line: complaints.append(line.msg))
        assert not puppet.change_state(Transition.TRANSITION_CONFIGURE)
        puppet.wait_for(lambda: any(all(word in line for word in words) for line in complaints))


def test_it_can_be_cleaned_up_and_configured_again(running_bridge):
    with running_bridge() as puppet:
        assert puppet.change_state(Transition.TRANSITION_DEACTIVATE)
        assert puppet.change_state(Transition.TRANSITION_CLEANUP)
        assert puppet.change_state(Transition.TRANSITION_CONFIGURE)
        assert puppet.change_state(Transition.TRANSITION_ACTIVATE)
        puppet.answer = puppet.answering(2, eos=True)
        puppet.activate(1)
        puppet.wait_for(lambda: puppet.reports())


def test_a_signal_in_the_middle_of_a_chunk_ends_the_process_cleanly(bridge_process):
    puppet, process, said = bridge_process
    puppet.answer = puppet.answering(60, value=0.05)  # all of it stays in the workspace
    puppet.activate(1)
    puppet.wait_for(lambda: puppet.of("episode_status") and puppet.status().step >= 3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60.0) == 0 and "Traceback" not in said.read_text()

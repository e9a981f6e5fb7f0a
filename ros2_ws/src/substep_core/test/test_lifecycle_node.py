"""What a lifecycle node does about requests that do not fit its state."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String

from substep_core.ros import topics
from substep_core.ros.lifecycle_node import GraphNode

UNKNOWN = 99
REQUESTS = {
    "configure": Transition(id=Transition.TRANSITION_CONFIGURE),
    "activate": Transition(id=Transition.TRANSITION_ACTIVATE),
    "deactivate": Transition(id=Transition.TRANSITION_DEACTIVATE),
    "cleanup": Transition(id=Transition.TRANSITION_CLEANUP),
    "shutdown of an active node": Transition(id=Transition.TRANSITION_ACTIVE_SHUTDOWN),
    "shutdown of an inactive node": Transition(id=Transition.TRANSITION_INACTIVE_SHUTDOWN),
    "no transition": Transition(id=UNKNOWN),
    "by its name": Transition(label="activate"),
    "by a name that is none": Transition(label="fly"),
}
FITTING = {  # state -> way to it from the first, and what may be asked for there
    "unconfigured": ([], {"configure"}),
    "inactive": (["configure"], {"activate", "by its name", "cleanup", "shutdown of an inactive node"}),
    "active": (["configure", "activate"], {"deactivate", "shutdown of an active node"}),
}


@pytest.fixture
def ask() -> Iterator[Callable]:
    """Asks a lifecycle node's service and waits for the answer."""
    rclpy.init()
    node, client_node, executor = GraphNode("managed"), rclpy.create_node("client"), SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(client_node)
    clients = {
        ChangeState: client_node.create_client(ChangeState, "managed/change_state"),
        GetState: client_node.create_client(GetState, "managed/get_state"),
    }

    def call(service: type, request):
        assert clients[service].wait_for_service(10.0)
        answer = clients[service].call_async(request)
        executor.spin_until_future_complete(answer, 10.0)
        return answer.result()

    yield call
    executor.shutdown()
    node.destroy_node()
    client_node.destroy_node()
    rclpy.shutdown()


def test_a_malformed_message_is_not_heeded_said_once_and_ends_no_node(capfd):
    """Anybody may publish on a topic."""
    rclpy.init()
    node, executor, heard = rclpy.create_node("listener"), SingleThreadedExecutor(), []

    def hear(message: String) -> None:
        if message.data.startswith("bad"):
            raise ValueError(f"{message.data} is no contract \x1b[2J")
        heard.append(message.data)

    topic = topics.ROBOT_CONTRACT.with_depth(10)
    topic.subscription(node, hear)
    publisher = topic.publisher(node)
    executor.add_node(node)
    for words in ("bad", "bad", "good"):
        publisher.publish(String(data=words))
    while not heard:
        executor.spin_once(10.0)
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    assert heard == ["good"]
    logged = capfd.readouterr().err
    assert logged.count("a message on robot_contract is not heeded: bad is no contract \\x1b[2J") == 1


@pytest.mark.parametrize("state", FITTING)
def test_a_request_that_does_not_fit_the_state_is_refused_and_the_node_goes_on(ask, state):
    way, fitting = FITTING[state]
    for name in way:
        assert ask(ChangeState, ChangeState.Request(transition=REQUESTS[name])).success
    before = ask(GetState, GetState.Request()).current_state
    for name in REQUESTS.keys() - fitting:
        assert not ask(ChangeState, ChangeState.Request(transition=REQUESTS[name])).success, name
        assert ask(GetState, GetState.Request()).current_state == before, name
    assert before.label == state


@pytest.mark.parametrize(("state", "name"), [(state, name) for state in FITTING for name in sorted(FITTING[state][1])])
def test_a_request_that_fits_is_carried_out(ask, state, name):
    for step in [*FITTING[state][0], name]:
        assert ask(ChangeState, ChangeState.Request(transition=REQUESTS[step])).success
    assert ask(GetState, GetState.Request()).current_state.id != State.PRIMARY_STATE_UNKNOWN

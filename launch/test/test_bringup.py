"""How a session takes nodes down that do not answer any more."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.task import Future

from substep_bringup.session.bringup import Bringup
from substep_bringup.session.session_config import SessionConfig


class Client:
    """Of a node that ends when it is asked for the ``last`` kind of thing, as by the Ctrl-C that ends the session."""

    def __init__(self, last: type, node: SimpleNamespace) -> None:
        self.last, self.node = last, node

    def service_is_ready(self) -> bool:
        return self.node.is_there

    def call_async(self, request) -> Future:
        answer = Future()
        if isinstance(request, self.last.Request):
            self.node.is_there = False
        elif isinstance(request, GetState.Request):
            active = State(id=State.PRIMARY_STATE_ACTIVE)
            answer.set_result(SimpleNamespace(current_state=active, success=True))
        return answer


@pytest.mark.parametrize("last", [GetState, ChangeState])
def test_nodes_that_have_gone_are_not_waited_for(last):
    running = SimpleNamespace(is_there=True)
    node = SimpleNamespace(create_client=lambda service, name: Client(last, running))
    config = SessionConfig(run_folder=None)
    bringup = Bringup(node, config, lambda condition, seconds, what: None)
    bringup._ours = bringup._managed
    started = time.monotonic()
    bringup.down()
    assert time.monotonic() - started < 1.0

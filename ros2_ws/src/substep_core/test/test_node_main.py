"""What keeps a node's process going, and what ends it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from rclpy.event_handler import EventHandler
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from std_msgs.msg import Empty

from substep_core.ros.node_main import run_node
from substep_core.ros.parameters import BadParameter


class Ticking(Node):
    """Ends its process with the third tick of a timer."""

    def __init__(self) -> None:
        super().__init__("ticking")
        self.ticks = 0
        self.create_publisher(Empty, "topic", 1)  # brings event handlers
        self.create_timer(0.02, self.tick)

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks == 3:
            raise KeyboardInterrupt


class Faulty(Ticking):
    def tick(self) -> None:
        raise InvalidHandle("of what the callback has destroyed")


def test_an_event_handler_that_is_destroyed_while_it_is_waited_for_does_not_end_the_node(monkeypatch):
    add, raised = EventHandler.add_to_wait_set, []

    def add_once_destroyed(self: EventHandler, wait_set: object) -> None:
        if not raised:
            raised.append(True)
            raise InvalidHandle("cannot use Destroyable because destruction was requested")
        add(self, wait_set)

    monkeypatch.setattr(EventHandler, "add_to_wait_set", add_once_destroyed)
    assert run_node(Ticking, []) == 0
    assert raised


def test_a_callback_that_uses_what_is_destroyed_is_a_fault():
    with pytest.raises(InvalidHandle, match="the callback"):
        run_node(Faulty, [])


def test_a_node_that_cannot_be_made_with_its_parameters_says_so_in_one_line(capfd):
    def create() -> Node:
        raise BadParameter("parameter world: unknown world 'mars'")

    assert run_node(create, []) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "[FATAL]" in line and line.endswith("parameter world: unknown world 'mars'")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_a_node_with_a_last_word_is_made_ends_the_process_as_if_by_itself(number):
    making = (
        "import os, signal, sys\n"
        "from substep_core.ros.node_main import run_node\n"
        f"def create(): os.kill(os.getpid(), {int(number)}); print('made')\n"
        "sys.exit(run_node(create, [], has_last_word=True))\n"
    )
    ended = subprocess.run([sys.executable, "-c", making], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

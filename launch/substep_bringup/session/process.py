"""The session as a process: ROS around it, its callbacks in a thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from substep_bringup.exit_codes import ExitCode
from substep_bringup.session.display import Display
from substep_bringup.session.interruption import Interruption
from substep_bringup.session.session import Session
from substep_bringup.session.session_node import SessionNode
from substep_core.printable import show
from substep_core.ros.parameters import BadParameter


def run_process(interruption: Interruption) -> int:
    """Run one session with a node of its own.

    Args:
        interruption: catches the signals, which rclpy must therefore leave alone.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = SessionNode()
    except BadParameter as error:
        show(f"session: {error}", sys.stderr)
        rclpy.shutdown()
        return ExitCode.BAD_ARGUMENTS
    with _spinning(node, interruption), Display() as display:
        return Session(node.config, node, display, interruption).run()


@contextmanager
def _spinning(node: Node, interruption: Interruption) -> Iterator[None]:
    """Callbacks run in a thread, so that the session can wait for what they bring."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=_spin, args=(executor, interruption), name="executor")
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()
        rclpy.shutdown()


def _spin(executor: SingleThreadedExecutor, interruption: Interruption) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        return
    except Exception as error:  # the border of the thread: whatever a callback raised ends the session
        interruption.fail(error)

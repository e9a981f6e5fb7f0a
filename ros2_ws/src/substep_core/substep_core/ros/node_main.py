"""Main loop of a node's process: spin until a signal or a fault, then shut the node down."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Sequence

import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

from substep_core.printable import log_printably

RCLError = rclpy_implementation.RCLError


def run_node(
    create: Callable[[], Node],
    arguments: Sequence[str] | None = None,
    executor_type: type[Executor] = SingleThreadedExecutor,
) -> int:
    """Run one node until SIGINT or SIGTERM.

    Args:
        create: makes the node, after rclpy is initialised.
        arguments: ROS arguments; None: those of the command line.

    Returns:
        0, the exit code. A fault in a callback leaves as the exception that it is.
    """
    log_printably("%(name)s: %(message)s")  # of the cores, which know no ROS
    rclpy.init(args=arguments)
    try:
        _run(create(), executor_type())
    finally:
        rclpy.try_shutdown()
    return 0


def _run(node: Node, executor: Executor) -> None:
    executor.add_node(node)
    try:
        spin(executor)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RCLError:
        if rclpy.ok():
            raise
        # the signal came while a callback was about to publish, and took the context away from under it
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # launch repeats them; the end is under way
            signal.signal(number, signal.SIG_IGN)
        node.destroy_node()


def spin(executor: Executor) -> None:
    """``executor.spin()``, going on where it trips over what another thread has just destroyed.

    rclpy gathers what to wait for and then adds it to the wait set; an event handler that a clean-up destroys in
    between raises there. What a callback raises, also of this type, remains a fault.
    """
    while True:
        try:
            return executor.spin()
        except InvalidHandle as error:
            if not any(
                frame.name == "_wait_for_ready_callbacks" for frame in traceback.extract_tb(error.__traceback__)
            ):
                raise

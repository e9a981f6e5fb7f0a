"""Main loop of a node's process: spin until a signal or a fault, then shut the node down."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from substep_core.printable import log_printably, printable_lines
from substep_core.ros.parameters import BadParameter

RCLError = rclpy_implementation.RCLError
SIGNALS = (signal.SIGINT, signal.SIGTERM)
WRONG_PARAMETER = 2


def run_node(
    create: Callable[[], Node],
    arguments: Sequence[str] | None = None,
    executor_type: type[Executor] = SingleThreadedExecutor,
    has_last_word: bool = False,
) -> int:
    """Run one node until SIGINT or SIGTERM.

    Args:
        create: makes the node, after rclpy is initialised.
        arguments: ROS arguments; None: those of the command line.
        has_last_word: ROS outlives the signal until the node is destroyed, so that an arm is told to stop. rclpy's own
            handlers end it at once. For nodes with one thread.

    Returns:
        The exit code: 0, or 2 where a parameter does not let the node be made, which is logged. A fault in a callback
        leaves as the exception that it is.
    """
    log_printably("%(name)s: %(message)s")  # of the cores, which know no ROS
    handlers = SignalHandlerOptions.NO if has_last_word else SignalHandlerOptions.ALL
    if has_last_word:
        _signals_end_making()
    rclpy.init(args=arguments, signal_handler_options=handlers)
    try:
        try:
            node = create()
        except BadParameter as error:
            get_logger(Path(sys.argv[0]).stem).fatal(printable_lines(str(error)))
            return WRONG_PARAMETER
        with _signals_end_spinning(node) if has_last_word else nullcontext():
            _run(node, executor_type())
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
        _ignore_signals()
        node.destroy_node()


def _ignore_signals() -> None:
    """Launch repeats them, and the end is under way."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _signals_end_making() -> None:
    """While there is no node yet nothing has to be told to stop: the process ends, as if by itself."""

    def end(number: int, frame: object) -> None:
        _ignore_signals()
        raise SystemExit(0)

    for number in SIGNALS:
        signal.signal(number, end)


@contextmanager
def _signals_end_spinning(node: Node) -> Iterator[None]:
    """Python's handlers wait for the executor's wait to end; what the system writes into a socket does not."""

    def end() -> None:
        raise ExternalShutdownException

    def heed(number: int, frame: object) -> None:
        _ignore_signals()
        if number == signal.SIGINT:  # as it is for every program: what is under way is not waited for
            raise KeyboardInterrupt

    ended = node.create_guard_condition(end)
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        if reader.recv(1):  # else it was closed, and the node has ended without a signal
            ended.trigger()

    threading.Thread(target=watch, name="signals", daemon=True).start()
    for number in SIGNALS:
        signal.signal(number, heed)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()


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

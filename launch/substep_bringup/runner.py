"""Process runner for machines without ``launch``: when one process ends, all are ended."""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from substep_bringup.child_process import ChildProcess, ProcessSpec, describe_exit
from substep_bringup.exit_codes import ExitCode
from substep_core.printable import show

PR_SET_CHILD_SUBREAPER = 36  # from linux/prctl.h
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TAIL_LINES = 15
LOOK = 1.0  # s between two looks at what sends no event


@dataclass(frozen=True)
class Patience:
    """How long to wait (s) before being less polite.

    Attributes:
        session: for the session to cancel its goal and to finish video and summary.
        repeat: a signal sooner after the first one is the same one; ``timeout`` and some terminals send it twice.
        silence: between two signs of life of the session, which gives one a second: frozen, it ends by no signal.
        terminate: from SIGTERM to SIGKILL.
        kill: for the kernel to clear what was killed.
    """

    session: float = 60.0
    repeat: float = 0.5
    silence: float = 15.0
    terminate: float = 5.0
    kill: float = 10.0


class OrphansLeft(RuntimeError):
    """Processes that even SIGKILL did not remove; the message names them."""


class Runner:
    """Runs nodes and the session that drives them.

    The session's end is the regular end: everybody else is stopped and its exit code is the run's. A node that ends
    earlier is a failure: the session is told to finish (SIGTERM), and everything is stopped. Signals go to the session
    alone, which keeps what there is and takes the nodes down in order; a second signal ends everything at once. A
    session that gives no sign of life any more can do neither: everything is stopped. A node that is not vital may end
    early: that is said, and the others go on. Where the runner itself is killed, the kernel kills the nodes and tells
    the session, which keeps what there is.

    Args:
        nodes: started in this order, before the session.
        on_failure: called with one sentence before the session is told to finish because of a node.
        report: where messages for the user go.
    """

    def __init__(
        self,
        nodes: Sequence[ProcessSpec],
        session: ProcessSpec,
        *,
        on_failure: Callable[[str], None] = lambda sentence: None,
        report: Callable[[str], None] = lambda message: _say(message),
        patience: Patience = Patience(),  # noqa: B008 (frozen)
    ) -> None:
        self._node_specs = tuple(nodes)
        self._session_spec = session
        self._on_failure = on_failure
        self._report = report
        self._patience = patience
        self._nodes: list[ChildProcess] = []
        self._lost: set[ChildProcess] = set()
        self._session: ChildProcess | None = None

    def run(self) -> int:
        """Run to the end. Call it from the main thread.

        Returns:
            the session's exit code; ``ExitCode.NODE_DIED``; or 128 + the number of the signal that ended the run.

        Raises:
            OSError: a process could not be started; those already started are stopped.
            OrphansLeft: something survived.
        """
        _adopt_orphans()
        with _signals_as_events() as events:
            try:
                for spec in self._node_specs:
                    self._nodes.append(ChildProcess(spec))
                self._session = ChildProcess(self._session_spec, gives_signs=True, when_orphaned=signal.SIGTERM)
                for child in self._children:
                    events.watch(child)
                return self._supervise(events)
            finally:
                self._stop_everything()

    def _supervise(self, events: _Events) -> int:
        """Wait for the session to end, by itself or because it was told to."""
        cause: int | None = None  # exit code of what ended the run before the session did
        told: float | None = None  # when the session was told to end
        while self._session.exit_code is None:
            received = events.wait(time.monotonic() + LOOK if told is None else told + self._patience.session)
            if told is not None:
                waited = time.monotonic() - told
                if received and waited > self._patience.repeat:
                    self._report("second signal: ending everything at once")
                    return cause
                if waited > self._patience.session:
                    self._report(f"the session has not ended within {self._patience.session:.0f} s")
                    return cause
                continue
            self._mention_lost()
            dead = self._dead_node()
            if received:
                cause = 128 + received
                self._session.send(self._as_heard(received))
            elif dead:
                cause = ExitCode.NODE_DIED
                self._give_up_on(dead)
            elif self._session.silence() > self._patience.silence:
                self._give_up_on_session()
                return ExitCode.NODE_DIED
            else:
                continue
            told = time.monotonic()
        if cause is not None:
            return cause
        return self._session_died() if self._session.exit_code < 0 else self._session.exit_code

    def _as_heard(self, received: int) -> int:
        """A session that does not listen yet would end by SIGINT with Python's traceback; by SIGTERM it just ends."""
        listens_for_it = received == signal.SIGINT and self._session.has_given_signs
        return signal.SIGINT if listens_for_it else signal.SIGTERM

    def _session_died(self) -> int:
        self._on_failure(f"{self._session.name} {describe_exit(self._session.exit_code)}")
        self._explain(self._session)
        return ExitCode.NODE_DIED

    def _dead_node(self) -> ChildProcess | None:
        return next((node for node in self._nodes if node.spec.vital and node.exit_code is not None), None)

    def _mention_lost(self) -> None:
        for node in self._nodes:
            if not node.spec.vital and node.exit_code is not None and node not in self._lost:
                self._lost.add(node)
                self._explain(node)

    def _give_up_on(self, node: ChildProcess) -> None:
        self._on_failure(f"node {node.name} {describe_exit(node.exit_code)}")
        self._session.send(signal.SIGTERM)
        self._explain(node)

    def _give_up_on_session(self) -> None:
        failure = f"the session has given no sign of life for {self._patience.silence:g} s"
        self._on_failure(failure)
        self._report(failure)
        encoders = psutil.Process(self._session.pid).children(recursive=True)
        self._session.send(signal.SIGKILL)
        psutil.wait_procs(encoders, self._patience.terminate)  # its end is that of their input: they finish the video

    def _explain(self, child: ChildProcess) -> None:
        self._report(f"{child.name} {describe_exit(child.exit_code)}")
        if tail := child.log_tail(TAIL_LINES):
            self._report("\n".join([f"the end of {child.spec.log}:", *(f"  {line}" for line in tail)]))

    @property
    def _children(self) -> list[ChildProcess]:
        return [*self._nodes, *([self._session] if self._session else [])]

    def _stop_everything(self) -> None:
        for child in self._children:
            child.send(signal.SIGTERM)
        _wait_until(lambda: all(child.exit_code is not None for child in self._children), self._patience.terminate)
        for child in self._children:
            child.kill_group()
        for process in _descendants():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if not _wait_until(self._is_all_gone, self._patience.kill):
            raise OrphansLeft(f"these processes could not be ended: {[process.pid for process in _descendants()]}")
        for child in self._children:
            child.close()

    def _is_all_gone(self) -> bool:
        ended = [child.exit_code for child in self._children]
        _reap_adopted()
        return None not in ended and not any(child.group_exists() for child in self._children) and not _descendants()


def _say(message: str) -> None:
    with suppress(BrokenPipeError):  # nobody reads any more; the run is finished all the same
        show(message, sys.stderr)


class _Events:
    """Waits for signals and ended processes at once."""

    def __init__(self, signals: int) -> None:
        self._signals = signals
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals, selectors.EVENT_READ)

    def watch(self, child: ChildProcess) -> None:
        self._selector.register(child.descriptor, selectors.EVENT_READ, child)

    def wait(self, deadline: float | None) -> int | None:
        """Block until a signal comes, a process ends or the deadline (monotonic s) passes.

        Returns:
            the signal's number, if one came.
        """
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = {key.fd: key.data for key, _ in self._selector.select(timeout)}
        for descriptor, child in ready.items():
            if child is not None:
                child.reap()
                self._selector.unregister(descriptor)
        return os.read(self._signals, 1)[0] if self._signals in ready else None


@contextmanager
def _signals_as_events() -> Iterator[_Events]:
    """Signals are written to a pipe instead of interrupting whatever runs."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    # First the pipe: a signal that came between the two would be nobody's.
    earlier_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    earlier = {number: signal.signal(number, lambda number, frame: None) for number in FORWARDED}
    try:
        yield _Events(reader)
    finally:
        signal.set_wakeup_fd(earlier_writer)
        for number, handler in earlier.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _adopt_orphans() -> None:
    """Processes whose parent dies become children of this one, so that none can hide."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def _descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _reap_adopted() -> None:
    """Collect the exit status of adopted processes; those that were started here have been collected already."""
    for process in _descendants():
        with suppress(ChildProcessError):  # a grandchild
            os.waitpid(process.pid, os.WNOHANG)


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True

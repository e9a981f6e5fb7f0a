"""One supervised process: own process group, own log; it ends when its parent ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

PR_SET_PDEATHSIG = 1  # from linux/prctl.h
PIPE_SIZE = 65536  # bytes that a pipe holds
SIGNS_VARIABLE = "SUBSTEP_SIGNS_OF_LIFE"  # file descriptor that a child writes its signs of life to


@dataclass(frozen=True)
class ProcessSpec:
    """What to start.

    Attributes:
        log: file for its output; None: its output goes where the starter's goes.
        environment: added to the starter's.
        vital: the others cannot go on without it.
    """

    name: str
    command: Sequence[str]
    log: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    vital: bool = True


class ChildProcess:
    """A started process. Start it from the main thread: the kernel ends it when the thread that started it ends.

    Args:
        gives_signs: it is told where to write signs of life, see ``signs_of_life``.
        when_orphaned: the signal that it then gets.
    """

    def __init__(
        self, spec: ProcessSpec, gives_signs: bool = False, when_orphaned: signal.Signals = signal.SIGKILL
    ) -> None:
        """Start the process.

        Raises:
            OSError: the command cannot be executed.
        """
        self.spec = spec
        self._signs, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._last_sign: float | None = None
        told = {SIGNS_VARIABLE: str(writer)} if gives_signs else {}
        with _closing(writer), spec.log.open("ab") if spec.log else nullcontext() as log:
            self._popen = subprocess.Popen(
                spec.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **spec.environment, **told},
                pass_fds=(writer,) if gives_signs else (),
                start_new_session=True,
                preexec_fn=die_with_parent(when_orphaned),
            )
        self.descriptor = os.pidfd_open(self._popen.pid)  # becomes readable when the process ends

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._popen.poll()

    def reap(self) -> None:
        """Collect the exit code of a process whose descriptor says that it has ended."""
        self._popen.wait()

    def silence(self) -> float:
        """s since its last sign of life; 0 until the first one has come."""
        return time.monotonic() - self._last_sign if self.has_given_signs else 0.0

    @property
    def has_given_signs(self) -> bool:
        with suppress(BlockingIOError):
            if os.read(self._signs, PIPE_SIZE):
                self._last_sign = time.monotonic()
        return self._last_sign is not None

    def send(self, signal_number: int) -> None:
        """Signal the process itself, unless it has ended."""
        if self.exit_code is None:
            self._popen.send_signal(signal_number)

    def kill_group(self) -> None:
        """Kill whatever is left of the process and those it started in its group."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # the process group is gone

    def group_exists(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self._signs)

    def log_tail(self, lines: int) -> list[str]:
        """The last lines of its log; none where it has no log."""
        if self.spec.log is None:
            return []
        return self.spec.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]


def signs_of_life() -> Callable[[], None]:
    """To be called by a child again and again: that it goes on. Does nothing where nobody has asked for it."""
    descriptor = os.environ.get(SIGNS_VARIABLE)

    def give() -> None:
        if descriptor is not None:
            with suppress(OSError):  # nobody listens any more, or has not read for long
                os.write(int(descriptor), b".")

    return give


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def describe_exit(exit_code: int) -> str:
    """0 -> "ended by itself", 3 -> "ended with exit code 3", -9 -> "was ended by SIGKILL"."""
    if exit_code == 0:
        return "ended by itself"
    if exit_code > 0:
        return f"ended with exit code {exit_code}"
    return f"was ended by {signal.Signals(-exit_code).name}"


def die_with_parent(signal_number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """To be called in the child between fork and exec; the setting survives exec."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def call() -> None:
        if libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
            os._exit(127)
        if os.getppid() != parent:  # it died before the setting took effect
            os._exit(127)

    return call

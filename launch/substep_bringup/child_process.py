"""One supervised process: its own session, its own log, and it dies with whoever started it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

PR_SET_PDEATHSIG = 1  # from linux/prctl.h


@dataclass(frozen=True)
class ProcessSpec:
    """What to start.

    Attributes:
        log: file for its output; None: its output goes where the starter's goes.
        environment: added to the starter's.
    """

    name: str
    command: Sequence[str]
    log: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class ChildProcess:
    """A started process. Start it from the main thread: the kernel ends it when the thread that started it ends."""

    def __init__(self, spec: ProcessSpec) -> None:
        """Start the process.

        Raises:
            OSError: the command cannot be executed.
        """
        self.spec = spec
        with spec.log.open("ab") if spec.log else nullcontext() as log:
            self._popen = subprocess.Popen(
                spec.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **spec.environment},
                start_new_session=True,
                preexec_fn=die_with_parent(),
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

    def send(self, signal_number: int) -> None:
        """Signal the process itself, unless it has ended."""
        if self.exit_code is None:
            self._popen.send_signal(signal_number)

    def kill_group(self) -> None:
        """Kill whatever is left of the process and those it started in its group."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nobody is left

    def group_exists(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        os.close(self.descriptor)

    def log_tail(self, lines: int) -> list[str]:
        """The last lines of its log; none where it has no log."""
        if self.spec.log is None:
            return []
        return self.spec.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]


def describe_exit(exit_code: int) -> str:
    """0 -> "ended by itself", 3 -> "ended with exit code 3", -9 -> "was ended by SIGKILL"."""
    if exit_code == 0:
        return "ended by itself"
    if exit_code > 0:
        return f"ended with exit code {exit_code}"
    return f"was ended by {signal.Signals(-exit_code).name}"


def die_with_parent() -> Callable[[], None]:
    """To be called in the child between fork and exec; the setting survives exec."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def call() -> None:
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            os._exit(127)
        if os.getppid() != parent:  # it died before the setting took effect
            os._exit(127)

    return call

"""Processes under test: known by a mark in their environment, ended in bounded time, and never left behind."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from substep_bringup.child_process import ChildProcess, ProcessSpec

GRACE = 20.0  # s, from a signal to the end


def wait_until(is_so: Callable[[], object], what: str, timeout: float = 240.0) -> None:
    """AssertionError when it does not come in time."""
    deadline = time.monotonic() + timeout
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)


class ProcessUnderTest:
    """One command with its output in a file, and all of its descendants.

    Args:
        command: program and arguments.
        log: file that takes stdout and stderr.
        environment: added to this process's own.
    """

    def __init__(self, command: Sequence[str], log: Path, **environment: str) -> None:
        self.log = log
        self._mark = uuid.uuid4().hex
        marked = {"PYTHONUNBUFFERED": "1", "SUBSTEP_TEST_MARK": self._mark, **environment}
        self._child = ChildProcess(ProcessSpec(log.stem, command, log, marked))

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        return self._child.exit_code

    def family(self) -> list[psutil.Process]:
        """This process and all its descendants that run, orphans included."""
        return [process for process in psutil.process_iter() if _is_marked(process, self._mark)]

    def member(self, word: str) -> psutil.Process:
        """The one of the family whose command line holds an argument that ends in ``word``."""
        found = [process for process in self.family() if any(part.endswith(word) for part in process.cmdline())]
        assert len(found) == 1, f"{len(found)} processes with an argument …{word}: {[item.cmdline() for item in found]}"
        return found[0]

    def send(self, number: int) -> None:
        """A signal to the command itself, as a supervisor or `kill` would send it."""
        self._child.send(number)

    def interrupt_terminal(self) -> None:
        """Ctrl-C: SIGINT to the whole foreground process group."""
        os.killpg(self.pid, signal.SIGINT)

    def wait(self, timeout: float = GRACE) -> int:
        """Exit code. Raises AssertionError with the end of the log when it does not end in time."""
        deadline = time.monotonic() + timeout
        while self.exit_code is None:
            assert time.monotonic() < deadline, f"{self.log.name} did not end within {timeout} s:\n{self.tail()}"
            time.sleep(0.02)
        return self.exit_code

    def wait_for_text(self, text: str, timeout: float) -> None:
        """Until the output holds ``text``; AssertionError when it does not come or the process ends without it."""
        deadline = time.monotonic() + timeout
        while text not in self.text():
            ended = self.exit_code is not None and text not in self.text()
            assert not ended and time.monotonic() < deadline, f"no {text!r} in {self.log.name}:\n{self.tail()}"
            time.sleep(0.05)

    def close(self) -> None:
        """End what still runs of the family, politely first."""
        self.send(signal.SIGINT)
        deadline = time.monotonic() + GRACE
        while self.exit_code is None and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in self.family():
            process.kill()
        self.wait()
        self._child.close()

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.text().splitlines()[-lines:])


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("SUBSTEP_TEST_MARK") == mark
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False

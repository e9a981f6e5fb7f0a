"""Turns SIGINT and SIGTERM into an exception that is raised only where the session waits."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import contextmanager
from types import FrameType

from substep_bringup.exit_codes import ExitCode

POLL = 0.02  # s
LONGEST_END = 60  # s from the first signal to the process's end, by the kernel if it hangs: its starter may be gone


class Interrupted(Exception):
    """Somebody wants the run to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = ExitCode.INTERRUPTED if signal_number == signal.SIGINT else ExitCode.TERMINATED


class TookTooLong(Exception):
    """What was waited for has not happened."""


class Interruption:
    """Waits that signals end. The first signal counts; later ones do not disturb the clean-up."""

    def __init__(self) -> None:
        self._received: int | None = None
        self._fault: Exception | None = None

    @contextmanager
    def listening(self):
        """Catch signals as long as the context lasts."""
        earlier = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            signal.alarm(0)
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def fail(self, fault: Exception) -> None:
        """Another thread has failed: raise its exception where the session waits."""
        self._fault = fault

    def wait(
        self, condition: Callable[[], bool], seconds: float = float("inf"), meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Wait until the condition holds.

        Args:
            meanwhile: called again and again.

        Raises:
            Interrupted: a signal came, now or earlier.
            TookTooLong: ``seconds`` have passed.
            Exception: the one that ``fail`` was given.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if self._fault is not None:
                raise self._fault
            if self._received is not None:
                raise Interrupted(self._received)
            if time.monotonic() > deadline:
                raise TookTooLong
            meanwhile()
            time.sleep(POLL)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received is None:
            self._received = number
            signal.alarm(LONGEST_END)


def wait_quietly(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait without heeding signals, for the clean-up. Returns whether the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True

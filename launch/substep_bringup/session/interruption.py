"""Turns SIGINT and SIGTERM into an exception at the places that wait, and nowhere else."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import contextmanager
from types import FrameType

from substep_bringup.exit_codes import ExitCode

POLL = 0.02  # s


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
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def fail(self, fault: Exception) -> None:
        """Another thread has failed; whoever waits gets its exception."""
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
        self._received = self._received or number


def wait_quietly(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait without heeding signals, for the clean-up. Returns whether the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True

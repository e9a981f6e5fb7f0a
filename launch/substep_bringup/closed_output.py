"""Output that nobody reads any more, as after ``./substep sim | head -1``: the run is finished all the same."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heedless_of_closed_output() -> Iterator[None]:
    """Where standard output is a pipe that was closed, what is printed from then on goes nowhere."""
    try:
        yield
    except BrokenPipeError:
        discard_output()


def discard_output() -> None:
    """Also what is still buffered, which Python would complain about at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)

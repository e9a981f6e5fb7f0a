"""The live progress line: redrawn in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from substep_bringup.closed_output import discard_output
from substep_bringup.session.tracker import Progress, eos_text
from substep_core.printable import printable, printable_lines

REDRAWS = 0.2  # s between two redraws of the line
REPEATS = 10.0  # s between two plain lines when nothing else changes


def progress_text(progress: Progress) -> str:
    """As in "substep 2/4  place the mug on the plate  step 57 (213)  EOS 0.03  41 steps/s"."""
    if not progress.instruction:
        return progress.hold_reason or "waiting for a plan"
    parts = [
        f"substep {progress.index + 1}/{progress.count}",
        progress.instruction,
        f"step {progress.substep_steps} ({progress.episode_steps})",
        f"EOS {eos_text(progress)}",
    ]
    if progress.steps_per_second > 0:
        parts.append(f"{progress.steps_per_second:.0f} steps/s")
    return "  ".join(parts)


class _Console(Console):
    """Goes silent when its pipe is closed; the run is finished even then."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard_output()


class Display:
    """Shows a phase or the run's progress in one line, and messages above it.

    Use it as a context. Args:
        clock: monotonic wall time in s.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or _Console(highlight=False, soft_wrap=True)
        self._clock = clock
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._shown_at = float("-inf")
        self._subject = ""

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def message(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self._console.print(Text(printable_lines(text), style=style))

    def phase(self, text: str, seconds: float) -> None:
        """What is being waited for, and for how long already."""
        self._show(f"{text} … {seconds:.0f} s" if seconds >= 1 else f"{text} …", subject=text)

    def progress(self, progress: Progress) -> None:
        self._show(progress_text(progress), subject=f"{progress.index} {progress.instruction}")

    def _show(self, text: str, subject: str) -> None:
        """``subject`` is what a plain line is worth printing for at once."""
        text = printable(text)
        elapsed = self._clock() - self._shown_at
        if self._console.is_terminal:
            if elapsed >= REDRAWS or subject != self._subject:
                self._live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True)
                self._mark(subject)
        elif subject != self._subject or elapsed >= REPEATS:
            self._console.print(Text(text))
            self._mark(subject)

    def _mark(self, subject: str) -> None:
        self._shown_at, self._subject = self._clock(), subject

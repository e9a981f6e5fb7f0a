"""Asks whoever sits at the terminal what is meant."""

from __future__ import annotations

import sys

from substep_bringup.question import YES, suggests
from substep_core.printable import show

_YES, _NO = ("y", "yes"), ("", "n", "no")


def answer_at_terminal(why: str, question: str) -> str:
    """See ``Answer``; empty in a script."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    show(why, sys.stderr)
    is_suggested = suggests(question)
    show(f"{question} [{'y/N, or ' if is_suggested else ''}the task in other words]", sys.stderr)
    said = sys.stdin.readline().strip()
    if said.lower() in _YES:
        return YES if is_suggested else ""
    return "" if said.lower() in _NO else said

"""Strangers' text on its way to a terminal or a log."""

from __future__ import annotations

import logging
from typing import Any, TextIO


def printable(text: str) -> str:
    """The text with what a terminal would obey, and what cannot be seen, written out.

    Control characters (escape sequences begin with one), marks of writing direction and halves of characters become
    their escapes, such as ``\\x1b`` and ``\\u202e``; letters of all scripts stay.
    """
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


def printable_lines(text: str) -> str:
    """The same line by line; only line feeds stay."""
    return "\n".join(map(printable, text.split("\n")))


def shortened(text: str, longest: int = 300) -> str:
    """A text of any length for a line of a log: beginning and end, with how many characters there are."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} … {text[-half:]} ({len(text)} characters)"


def show(what: Any, file: TextIO | None = None) -> None:
    """``print`` for what quotes files, servers or other programs; on standard output unless said."""
    print(printable_lines(str(what)), file=file)


class PrintableFormatter(logging.Formatter):
    """Of logs: messages and tracebacks quote strangers."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


def log_printably(format: str = "%(message)s") -> None:
    """Send warnings of Python's log to standard error. To be called once, by a program's main function."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter(format))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)

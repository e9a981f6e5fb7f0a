"""What strangers have written does not steer the terminal."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest

from substep_core.printable import PrintableFormatter, shortened, show

EVIL = "\x1b]0;title\x07\x9b2J\u202e"
SAID = r"\x1b]0;title\x07\x9b2J\u202e"
NODES = sorted(Path(__file__).parents[2].glob("*/substep_*/*node.py"))


def test_what_is_shown_cannot_steer_the_terminal_but_has_lines(capsys):
    show(f"one {EVIL}\ntwo é 抽屉", sys.stderr)
    assert capsys.readouterr().err == f"one {SAID}\ntwo é 抽屉\n"


def test_a_text_of_any_length_is_a_line_of_a_log():
    assert shortened("pick up the mug") == "pick up the mug"
    long = shortened("a" * 1_000_000 + "b")
    assert len(long) < 400 and long.startswith("aaa") and long.endswith("b (1000001 characters)")


def test_logs_are_printable_with_their_tracebacks():
    try:
        raise ValueError(EVIL)
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "f", 1, "read %s", (EVIL,), sys.exc_info())
    text = PrintableFormatter("%(message)s").format(record)
    assert text.startswith(f"read {SAID}\nTraceback") and text.endswith(f"ValueError: {SAID}")


@pytest.mark.parametrize("file", NODES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_nodes_log_by_what_writes_strangers_text_out(file):
    """``GraphNode``'s say, warn and complain, or what they do."""
    assert not re.search(r"get_logger\(\)(?!\.\w+\(printable_lines\()", file.read_text())


def test_there_are_nodes_to_look_at():
    assert {file.parent.name for file in NODES} >= {"substep_bridge", "substep_planner", "substep_policy"}

"""What one test leaves behind does not reach the next one, nor what that starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = """
import signal, subprocess

def test_leaves_signals_ignored():  # as a node that has ended in this process
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

def test_starts_a_process():
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(["sleep", "60"])
        process.send_signal(number)
        assert process.wait(20) == -number
"""


def test_signals_that_a_shell_or_a_test_ignored_end_what_a_later_test_starts(tmp_path):
    (tmp_path / "test_inner.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "conftest", "-c", os.devnull, str(tmp_path)]
    ignored = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **ignored)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "2 passed" in done.stdout

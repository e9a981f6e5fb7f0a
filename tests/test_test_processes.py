"""What one test leaves behind does not reach the next one, nor what that starts; how tests are spread and named."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def inner_run(folder: Path, *options: str, **process: Any) -> subprocess.CompletedProcess[str]:
    """Pytest on a folder of its own, with what the tests here have in common."""
    plugins = ["-p", "xdist.plugin", "-p", "conftest"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "-c", str(folder / "pytest.ini"), *options, str(folder)]
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the others take longer to load than this run
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, **process)


def test_signals_that_a_shell_or_a_test_ignored_end_what_a_later_test_starts(tmp_path):
    (tmp_path / "test_inner.py").write_text(TESTS)
    done = inner_run(tmp_path, "-n", "0", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert done.returncode == 0, done.stdout[-2000:]
    assert "2 passed" in done.stdout


WITH_GROUPS = """
import pytest
from pathlib import Path

@pytest.fixture(scope="module")
def built():
    with Path(__file__).with_name("built").open("a") as file:
        file.write("once ")

@pytest.mark.parametrize("number", range(4))
def test_shares(built, number):
    assert number != 3

@pytest.mark.xdist_group("named")
def test_is_grouped():
    assert False

def test_is_alone():
    assert False
"""


def test_what_a_module_builds_is_built_in_one_worker_and_all_that_failed_is_run_again_by_name(tmp_path):
    (tmp_path / "test_inner.py").write_text(WITH_GROUPS)
    for options in (["-n", "2", "--dist", "loadgroup"], ["-n", "0", "--last-failed"]):
        said = inner_run(tmp_path, *options).stdout
        failed = re.findall(r"^FAILED \S+::(\S+)", said, re.MULTILINE)
        assert sorted(failed) == ["test_is_alone", "test_is_grouped", "test_shares[3]"], said[-2000:]
    assert "3 failed in" in said, "and nothing else"
    assert (tmp_path / "built").read_text() == "once " * 2, "once in each run"

"""``setup/setup.sh`` where the machine is not as one expects: it works, or says one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from substep_core.user_cache import user_cache

ROOT = Path(__file__).parent.parent


def script(commands: str, root: Path = ROOT, **changes: str | None) -> subprocess.Popen:
    """Runs commands after sourcing the script; ``changes`` to the environment, None takes a variable out."""
    environment = {name: value for name, value in (os.environ | changes).items() if value is not None}
    lines = f'set -euo pipefail; ROOT="{root}"; . "{ROOT}/setup/setup.sh"; {commands}'
    return subprocess.Popen(
        ["bash", "-c", lines], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def said(process: subprocess.Popen) -> tuple[int, str]:
    text, _ = process.communicate(timeout=60)
    return process.returncode, text


def test_the_account_says_where_home_is():
    code, text = said(script('echo "$CACHE"', HOME=None, XDG_CACHE_HOME=None, SUBSTEP_CACHE=None))
    assert code == 0 and text.strip().endswith("/.cache/substep") and text.startswith("/")


def test_a_program_of_the_environment_can_start_it():
    """It hands on the wheels' mark of having set the path of libraries, which is taken away: both go."""
    commands = "VENV=/nowhere ROS_SOURCE=wheels; enter_environment; env"
    code, text = said(script(commands, _ROS_WHEELS_BOOTSTRAP_COMPLETE="1", LD_LIBRARY_PATH="/somewhere"))
    assert code == 0 and "_ROS_WHEELS_BOOTSTRAP_COMPLETE" not in text and "LD_LIBRARY_PATH" not in text


def test_an_environment_that_is_complete_is_only_read(tmp_path: Path):
    """The cache may be another user's."""
    commands = f'venv_path() {{ echo "{tmp_path}/venv"; }}; setup_venv; echo "$VENV"'
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / ".complete").touch()
    root = tmp_path / "clone"
    root.mkdir()
    code, text = said(script(commands, root, SUBSTEP_CACHE=str(tmp_path)))
    assert (code, text.strip()) == (0, f"{tmp_path}/venv") and not (tmp_path / "lock").exists()


def test_what_is_compiled_is_kept_for_each_environment():
    """Whatever another one has left in the variable."""
    commands = "ROS_SOURCE=wheels; for VENV in /x/venv-ab /x/venv-cd; do enter_environment; echo $NUMBA_CACHE_DIR; done"
    assert said(script(commands, SUBSTEP_CACHE="/x")) == (0, "/x/numba-ab\n/x/numba-cd\n")


def test_a_clone_that_cannot_be_built_says_why(tmp_path: Path):
    root = tmp_path / "Größe"
    root.mkdir()
    code, text = said(script("workspace_key() { echo 1; }; setup_workspace", root))
    assert code == 1 and text.startswith("substep: ROS's generators cannot build in") and len(text.splitlines()) == 1


@pytest.mark.parametrize("work", ["sleep", "work"], ids=["a program", "a function"])
def test_an_interrupted_step_is_no_failure_and_leaves_no_log(work: str, tmp_path: Path):
    process = script(f'work() {{ sleep "$@"; }}; step "Long work" "hint" {work} 60', TMPDIR=str(tmp_path))
    while not process.stdout.read(1):
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not any(Path(f"/proc/{child}/comm").read_text() == "sleep\n" for child in children.read_text().split()):
        time.sleep(0.01)
    assert len(list(tmp_path.iterdir())) == 1, "the log"
    os.killpg(process.pid, signal.SIGINT)
    code, text = said(process)
    assert code == 130 and "stopped; the same command goes on from here" in text and "FAILED" not in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SUBSTEP_CACHE": "/given"}, "/given"),
        ({"SUBSTEP_CACHE": "below"}, f"{Path.cwd()}/below"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/substep"),
        ({"HOME": "/home/me"}, "/home/me/.cache/substep"),
    ],
)
def test_modules_keep_what_they_make_where_the_script_does(monkeypatch, environment, expected):
    for name in ("SUBSTEP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(user_cache()) == expected
    assert said(script('echo "$CACHE"'))[1].strip() == expected

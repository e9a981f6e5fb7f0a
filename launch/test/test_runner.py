"""The process runner with small real processes: whatever happens, everything ends and the exit code tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from substep_bringup.exit_codes import ExitCode
from substep_bringup.last_summary import leave_summary
from substep_bringup.run_folder import RunFolder
from substep_bringup.runner import _signals_as_events
from tests.processes import wait_until

PATIENCE = 30.0  # s, for what must happen

RUN = """
import sys
import time
from pathlib import Path
from substep_bringup.child_process import ProcessSpec
from substep_bringup.runner import Patience, Runner

folder = Path(sys.argv[1])
def spec(name, log=None, vital=True):
    return ProcessSpec(name, (sys.executable, str(folder / f"{name}.py")), log, vital=vital)
runner = Runner(
    [spec("node", folder / "node.log"), spec("other", folder / "other.log", vital=False)],
    spec("session"),
    on_failure=(folder / "failure.txt").write_text,
    patience=Patience(
        session=float(sys.argv[2]), terminate=0.5, kill=20.0, repeat=0.0, silence=float(sys.argv[3])
    ),
)
sys.exit(runner.run())
"""
# Short sleeps: a signal that comes just before the call sleeps is handled by Python only when the call returns.
REST = "while True: time.sleep(0.05)"
NODE = f"""
import pathlib, os, sys, time
pathlib.Path(sys.argv[0]).with_suffix(".pid").write_text(str(os.getpid()))
{REST}
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + NODE
POLITE_SESSION = f"""
import signal, sys
signal.signal(signal.SIGINT, lambda number, frame: sys.exit(130))
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
from substep_bringup.child_process import signs_of_life
signs_of_life()()
{NODE}"""
PARENT = f"""
import subprocess, sys, pathlib
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
pathlib.Path(sys.argv[0]).with_name("grandchild.pid").write_text(str(child.pid))
{NODE}"""


class Run:
    """A runner in a process of its own, with a node, another one and a session."""

    def __init__(
        self, folder: Path, node: str, session: str, patience: float = PATIENCE, silence: float = PATIENCE
    ) -> None:
        self.folder = folder
        for name, code in (("node", node), ("other", NODE), ("session", session)):
            (folder / f"{name}.py").write_text(code)
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(folder), str(patience), str(silence)], stderr=subprocess.PIPE, text=True
        )

    def pid(self, name: str) -> int:
        path = self.folder / f"{name}.pid"
        wait_until(lambda: path.is_file() and path.read_text(), f"{name} to start")
        return int(path.read_text())

    def end(self) -> tuple[int, str]:
        """Exit code and what was printed."""
        _, printed = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, printed

    def pids(self) -> list[int]:
        written = (path.read_text() for path in self.folder.glob("*.pid"))
        return [int(text) for text in written if text]  # a process may have been ended while it wrote


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def start(tmp_path):
    runs = []

    def start_run(node: str = NODE, session: str = POLITE_SESSION, **times: float) -> Run:
        runs.append(Run(tmp_path, node, session, **times))
        return runs[-1]

    yield start_run
    for run in runs:
        run.process.kill()
        run.process.wait()


def test_a_run_whose_session_was_killed_leaves_a_summary(tmp_path):
    folder = RunFolder.create(tmp_path, {"seed": 7, "task_text": "tidy up"})
    folder.note_failure("session was ended by SIGKILL")
    leave_summary(folder, ExitCode.NODE_DIED, datetime.now())
    summary = json.loads(folder.summary.read_text())
    assert (summary["verdict"], summary["exit_code"]) == ("node died", ExitCode.NODE_DIED)
    assert summary["error"]["message"] == "session was ended by SIGKILL"
    folder.summary.write_text("{}")
    leave_summary(folder, ExitCode.SUCCESS, datetime.now())
    assert folder.summary.read_text() == "{}", "the session's own stays"


def test_a_session_that_gives_signs_of_life_and_then_none_is_given_up(start):
    session = "from substep_bringup.child_process import signs_of_life\nsigns_of_life()()\n" + NODE
    run = start(session=session, silence=1.0)
    run.pid("session")
    code, printed = run.end()
    assert code == ExitCode.NODE_DIED and "the session has given no sign of life for 1 s" in printed
    assert (run.folder / "failure.txt").read_text() == "the session has given no sign of life for 1 s"


@pytest.mark.parametrize("code", [0, 1, 3])
def test_sessions_end_is_the_end_and_its_exit_code_the_runs(start, code):
    run = start(session=f"import sys; sys.exit({code})")
    assert run.end()[0] == code
    assert not any(is_running(pid) for pid in run.pids())


def test_a_dying_node_ends_everything_and_shows_its_last_words(start):
    run = start(node=NODE.replace(REST, "sys.exit('parameter suite is wrong')"))
    code, printed = run.end()
    assert code == ExitCode.NODE_DIED
    assert "node ended with exit code 1" in printed
    assert "parameter suite is wrong" in printed
    assert not any(is_running(pid) for pid in run.pids())


def test_a_killed_node_ends_everything_and_the_session_is_told_why(start):
    run = start()
    run.pid("session"), run.pid("other")
    os.kill(run.pid("node"), signal.SIGKILL)
    assert run.end()[0] == ExitCode.NODE_DIED
    assert (run.folder / "failure.txt").read_text() == "node node was ended by SIGKILL"
    assert not any(is_running(pid) for pid in run.pids())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize(
    "session", [POLITE_SESSION, POLITE_SESSION.replace("exit(130)", "exit(0)")], ids=["telling", "not telling"]
)
def test_a_signal_reaches_the_session_and_shows_in_the_exit_code(start, session, number, code):
    run = start(session=session)
    run.pid("session"), run.pid("node"), run.pid("other")
    run.process.send_signal(number)
    assert run.end()[0] == code
    assert not any(is_running(pid) for pid in run.pids())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_session_that_has_hardly_begun_may_end_by_the_signal_itself(start, number, code):
    run = start(session=NODE)  # as Python has it at its start
    run.pid("session")
    run.process.send_signal(number)
    assert run.end() == (code, "")


def test_nodes_are_left_in_peace_while_the_session_finishes(start):
    session = POLITE_SESSION.replace("sys.exit(130)", "finish()") + "\n"
    finish = """
def finish():
    node = int((pathlib.Path(sys.argv[0]).parent / "node.pid").read_text())
    os.kill(node, 0)
    pathlib.Path(sys.argv[0]).with_suffix(".finished").write_text("yes")
    sys.exit(130)
"""
    run = start(session="import pathlib, os\n" + finish + session)
    run.pid("session"), run.pid("node")
    run.process.send_signal(signal.SIGINT)
    assert run.end()[0] == 130
    assert (run.folder / "session.finished").is_file()


def test_a_node_that_ignores_sigterm_is_killed(start):
    run = start(node=STUBBORN)
    run.pid("session"), run.pid("node")
    run.process.send_signal(signal.SIGINT)
    assert run.end()[0] == 130
    assert not is_running(run.pid("node"))


def test_a_session_that_ignores_signals_is_ended_in_bounded_time(start):
    deaf = POLITE_SESSION.replace("sys.exit(130)", "None").replace("sys.exit(143)", "None")
    run = start(session=deaf, patience=0.5)
    run.pid("session")
    run.process.send_signal(signal.SIGINT)
    assert run.end()[0] == 130
    assert not any(is_running(pid) for pid in run.pids())


def test_a_second_signal_does_not_wait_for_the_session(start):
    deaf = POLITE_SESSION.replace("sys.exit(130)", "pathlib.Path(sys.argv[0]).with_suffix('.told').write_text('')")
    run = start(session=deaf, patience=600.0)
    run.pid("session")
    run.process.send_signal(signal.SIGINT)
    wait_until((run.folder / "session.told").exists, "the session to be told")
    run.process.send_signal(signal.SIGINT)
    code, printed = run.end()
    assert code == 130
    assert "second signal" in printed


def test_processes_that_nodes_started_end_too_even_in_sessions_of_their_own(start):
    run = start(node=PARENT)
    run.pid("session")
    grandchild = run.pid("grandchild")
    run.pid("node")
    run.process.send_signal(signal.SIGTERM)
    run.end()
    assert not is_running(grandchild)


def test_no_orphans_when_the_runner_itself_is_killed(start):
    run = start(node=STUBBORN)
    pids = [run.pid(name) for name in ("node", "other", "session")]
    run.process.kill()
    wait_until(lambda: not any(is_running(pid) for pid in pids), "the children to follow the runner")


def test_the_session_is_told_when_the_runner_itself_is_killed(start):
    session = POLITE_SESSION.replace("sys.exit(143)", "pathlib.Path(sys.argv[0]).with_suffix('.told').write_text('')")
    run = start(session=session)
    run.pid("session")
    run.process.kill()
    wait_until((run.folder / "session.told").exists, "the session to be told")
    os.kill(run.pid("session"), signal.SIGKILL)


def test_messages_that_nobody_reads_any_more_end_no_run(start):
    """``./substep sim 2>&1 | head -1``"""
    finishing = POLITE_SESSION.replace("sys.exit(143)", "(finish.write_text(''), sys.exit(143))")
    run = start(session="import pathlib, sys\nfinish = pathlib.Path(sys.argv[0]).with_suffix('.end')\n" + finishing)
    run.process.stderr.close()
    run.pid("session")
    os.kill(run.pid("node"), signal.SIGKILL)
    assert run.process.wait(PATIENCE) == ExitCode.NODE_DIED
    assert (run.folder / "session.end").is_file()


def test_what_cannot_be_started_stops_what_was(start, tmp_path):
    run = start(session="raise SystemExit(0)")
    run.end()
    code = RUN.replace('spec("session")', 'ProcessSpec("session", ("/nowhere/session",))')
    command = [sys.executable, "-c", code, str(tmp_path), "5", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 1
    assert "/nowhere/session" in ended.stderr
    assert not any(is_running(pid) for pid in run.pids())


def test_the_end_of_a_node_that_is_not_vital_is_said_and_ends_nothing(start):
    run = start()
    session = run.pid("session")
    os.kill(run.pid("other"), signal.SIGKILL)
    said = run.process.stderr.readline()
    assert said == "other was ended by SIGKILL\n"
    assert is_running(session) and run.process.poll() is None
    run.process.send_signal(signal.SIGINT)
    assert run.end()[0] == 130


def test_a_signal_while_signals_are_taken_over_is_not_lost(monkeypatch):
    """Ctrl-C in the moment in which a run begins to listen for it."""
    install = signal.signal

    def install_and_be_interrupted(number, handler):
        earlier = install(number, handler)
        if number == signal.SIGINT:
            os.kill(os.getpid(), signal.SIGINT)
        return earlier

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(signal, "signal", install_and_be_interrupted)
    with _signals_as_events() as events:
        monkeypatch.undo()
        assert events.wait(time.monotonic() + PATIENCE) == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is before

"""A session, its runner and stand-ins for the nodes, as processes: what a user sees of good and bad runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import psutil
import pytest

from substep_bringup.domain import free_domain
from substep_bringup.exit_codes import ExitCode
from substep_bringup.run_folder import RunFolder
from substep_bringup.session.captions import frame_size
from substep_bringup.session.session_config import run_folder_at
from tests.processes import wait_until

PATIENCE = 90.0  # s, for what must happen
FAKE_GRAPH = Path(__file__).with_name("fake_graph.py")
RUN = """
import sys
from pathlib import Path
from substep_bringup.child_process import ProcessSpec
from substep_bringup.run_folder import RunFolder
from substep_bringup.session.captions import frame_size
from substep_bringup.runner import Patience, Runner

folder, fault = RunFolder(Path(sys.argv[1])), sys.argv[3]
nodes = ProcessSpec("nodes", (sys.executable, sys.argv[2], fault), folder.logs / "nodes.log")
start = "import sys; from substep_bringup.session.main import main; sys.exit(main())"
session = ProcessSpec(
    "session", (sys.executable, "-c", start, "--ros-args", "-p", f"run_folder:={folder.path}", *sys.argv[4:])
)
patience = Patience(silence=10.0)
sys.exit(Runner([nodes], session, on_failure=folder.note_failure, patience=patience).run())
"""


class Run:
    """One run below a test's folder."""

    def __init__(self, runs: Path, environment: dict[str, str], fault: str, *arguments: str) -> None:
        self.folder = RunFolder.create(runs, {"seed": 7})
        command = [sys.executable, "-c", RUN, str(self.folder.path), str(FAKE_GRAPH), fault, *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )

    def end(self) -> tuple[int, str]:
        """Exit code and what was printed."""
        try:
            printed, _ = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            printed, _ = self.process.communicate()
            raise AssertionError(f"it did not end by itself; it said:\n{printed}") from None
        return self.process.returncode, printed

    def wait_for(self, word: str) -> None:
        """Until a line with ``word`` is printed."""
        for line in self.process.stdout:
            if word in line:
                return
        raise AssertionError(f"the run ended without {word!r}")

    def summary(self) -> dict:
        return json.loads(self.folder.summary.read_text())

    def frames(self) -> int:
        """Frames of the video that can be decoded."""
        return imageio_ffmpeg.count_frames_and_secs(str(self.folder.video))[0]


@pytest.fixture
def start(tmp_path):
    """In a domain of its own: other tests of this process may leave nodes behind until they are collected."""
    runs = []
    domain = free_domain()
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain.__enter__())}

    def start_run(fault: str = "none", *arguments: str) -> Run:
        runs.append(Run(tmp_path, environment, fault, *arguments))
        return runs[-1]

    yield start_run
    for run in runs:
        run.process.kill()
        run.process.wait()
        run.process.stdout.close()
    domain.__exit__(None, None, None)


def wait_for_frame(run: Run) -> None:
    """Until the encoder has read a whole frame: a line that is printed says nothing of the images' way."""
    width, height = frame_size([np.zeros((32, 32, 3), np.uint8)] * 2)  # as the stand-in's cameras
    two_frames = 2 * width * height * 3  # with what else it reads, one of them wholly

    def frame_was_read() -> bool:
        encoders = [child for child in psutil.Process(run.process.pid).children(recursive=True) if is_encoder(child)]
        return any(encoder.io_counters().read_chars >= two_frames for encoder in encoders)

    wait_until(frame_was_read, "frames to reach the encoder")


def is_encoder(process: psutil.Process) -> bool:
    try:
        return "ffmpeg" in process.name()
    except psutil.NoSuchProcess:
        return False


def nodes_of(run: Run) -> psutil.Process:
    """The process of the stand-ins."""
    children = psutil.Process(run.process.pid).children()
    return next(child for child in children if str(FAKE_GRAPH) in child.cmdline())


def test_a_task_that_is_done(start):
    run = start()
    code, printed = run.end()
    assert code == ExitCode.SUCCESS, printed
    assert "substep 1  pick up the mug: eos, 5 steps" in printed
    assert "substep 2  place the mug on the plate: goal reached, 5 steps" in printed
    assert "success" in printed and f"video, summary and logs: {run.folder.path}" in printed
    summary = run.summary()
    assert summary["success"] and summary["verdict"] == "success"
    assert summary["task"]["instruction"] == "move the mug"
    assert [(step["instruction"], step["steps"], step["ended"]) for step in summary["plan"]["substeps"]] == [
        ("pick up the mug", 5, "eos"),
        ("place the mug on the plate", 5, "goal reached"),
    ]
    assert summary["steps"] == 10
    assert summary["chunk_latency_s"]["median"] == 0.25
    assert summary["config"] == {"seed": 7}
    assert run.frames() == summary["video"]["frames"] > 20


def test_a_task_begins_when_its_video_has(start):
    run = start("late")
    code, printed = run.end()
    assert code == ExitCode.SUCCESS, printed
    assert f"video, summary and logs: {run.folder.path}" in printed
    assert run.frames() > 20


def test_a_run_without_images_goes_on_and_says_so(start):
    run = start("blind")
    code, printed = run.end()
    assert code == ExitCode.SUCCESS, printed
    assert "no images of the robot's cameras have come within 5 s" in printed
    assert f"\nsummary and logs: {run.folder.path}" in printed and not run.folder.video.exists()


def test_the_verdict_is_not_lost_where_the_summary_cannot_be_written(start):
    run = start()
    run.folder.summary.with_suffix(".part").mkdir()  # in the way, as a full disk would be
    code, printed = run.end()
    assert code == ExitCode.SUCCESS, printed
    assert printed.index("success") < printed.index("the run's summary could not be written")
    assert "Traceback" not in printed


def test_only_the_worlds_verdict_counts(start):
    run = start("wrong")
    code, printed = run.end()
    assert code == ExitCode.TASK_FAILED
    assert "the world says that the goal does not hold" in printed
    assert run.summary()["success"] is False


def test_a_node_that_refuses_to_configure_is_quoted(start):
    run = start("refuse")
    code, printed = run.end()
    assert code == ExitCode.BRINGUP_FAILED
    assert "node policy refused to configure: configure failed: parameter device is 'tpu'" in printed
    assert printed.count("'tpu'") == 1 and f"\nsummary and logs: {run.folder.path}" in printed
    assert "parameter device is 'tpu', expected 'auto' or 'cpu'" in run.summary()["error"]["message"]


def test_a_task_that_the_planner_gives_up(start):
    run = start("abort")
    code, printed = run.end()
    assert code == ExitCode.TASK_FAILED
    assert "no chunk came" in printed
    summary = run.summary()
    assert summary["error"] == {"code": 160, "name": "POLICY_SILENT", "message": "no chunk came", "clarification": ""}
    assert summary["plan"]["substeps"][0]["ended"] == "policy_silent"


def test_a_goal_that_the_planner_rejects(start):
    run = start("busy")
    assert run.end()[0] == ExitCode.TASK_FAILED
    error = run.summary()["error"]
    assert (error["code"], error["name"], error["message"]) == (101, "BUSY", "BUSY: another task is under way")


def test_a_planner_that_gives_no_sign_of_life_is_given_up(start):
    run = start("silent", "-p", "planner_silence:=2.0")
    code, printed = run.end()
    assert code == ExitCode.TASK_FAILED
    assert "nothing heard from the planner for 2 s" in printed
    assert (run.summary()["error"]["code"], run.summary()["error"]["name"]) == (163, "PLANNER_SILENT")
    assert run.frames() == run.summary()["video"]["frames"] > 0


def test_a_second_graph_in_the_same_domain_is_refused_and_does_not_disturb_the_first(start):
    first = start("standstill")
    first.wait_for("substep 1/2")
    second = start("none", "-p", "starts_graph:=true")
    code, printed = second.end()
    assert code == ExitCode.BRINGUP_FAILED
    assert "there is already a graph in ROS domain" in printed and "choose another ROS_DOMAIN_ID" in printed
    assert "there is already a graph" in second.summary()["error"]["message"]
    assert first.process.poll() is None
    first.process.send_signal(signal.SIGINT)
    assert first.end()[0] == ExitCode.INTERRUPTED


def test_a_frozen_session_is_given_up(start):
    run = start("standstill")
    run.wait_for("substep 1/2")
    wait_for_frame(run)
    session = next(
        child for child in psutil.Process(run.process.pid).children() if "session.main" in str(child.cmdline())
    )
    session.send_signal(signal.SIGSTOP)
    code, printed = run.end()
    assert code == ExitCode.NODE_DIED
    assert "the session has given no sign of life for 10 s" in printed
    assert run.frames() > 0


def test_an_interrupted_run_keeps_its_video_and_summary(start):
    run = start("standstill")
    run.wait_for("substep 1/2")
    wait_for_frame(run)
    run.process.send_signal(signal.SIGINT)
    assert run.end()[0] == ExitCode.INTERRUPTED
    summary = run.summary()
    assert summary["verdict"] == "interrupted"
    assert summary["plan"]["substeps"][0]["ended"] == "canceled"
    assert run.frames() == summary["video"]["frames"] > 0


def test_an_interrupted_configure_ends_at_once(start):
    run = start("slow")
    run.wait_for("configuring policy")
    run.process.send_signal(signal.SIGINT)
    assert run.end()[0] == ExitCode.INTERRUPTED
    assert run.summary()["verdict"] == "interrupted"


def test_a_node_that_dies_is_named_in_the_summary(start):
    run = start("standstill")
    run.wait_for("substep 1/2")
    wait_for_frame(run)
    os.kill(nodes_of(run).pid, signal.SIGKILL)
    code, printed = run.end()
    assert code == ExitCode.NODE_DIED
    summary = run.summary()
    assert summary["verdict"] == "node died"
    assert summary["error"]["message"] == "node nodes was ended by SIGKILL"
    assert run.frames() > 0


def test_output_that_nobody_reads_any_more_ends_no_run(start):
    """``./substep sim | head -1``"""
    run = start()
    run.process.stdout.readline()
    run.process.stdout.close()
    assert run.process.wait(PATIENCE) == ExitCode.SUCCESS
    assert run.summary()["success"] and run.frames() > 20


def test_a_killed_runner_leaves_summary_and_video_and_no_process(start):
    run = start("standstill")
    run.wait_for("substep 1/2")
    wait_for_frame(run)
    family = psutil.Process(run.process.pid).children(recursive=True)
    run.process.kill()
    _, alive = psutil.wait_procs(family, PATIENCE)
    assert alive == []
    assert run.frames() > 0
    summary = run.summary()
    assert (summary["verdict"], summary["task"]["instruction"]) == ("interrupted", "move the mug")
    assert summary["error"]["message"] == "the program that started the run has ended, and the nodes with it"


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("video_rate:=-1", "parameter video_rate must be from 0 to 1000"),
        ("run_folder:=/dev/null/run", "parameter run_folder is '/dev/null/run': Not a directory"),
    ],
)
def test_a_bad_parameter_of_the_session_is_named_before_anything_is_done(start, parameter, message):
    run = start("none", "-p", parameter)
    code, printed = run.end()
    assert code == ExitCode.BAD_ARGUMENTS
    assert message in printed and "configuring" not in printed


def test_a_run_folder_that_is_not_there_is_made(tmp_path):
    assert run_folder_at(str(tmp_path / "new" / "run")).logs.is_dir()

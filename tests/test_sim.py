"""The whole stack from the command line: a success, what it leaves, and how it ends when it must."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import imageio.v3 as imageio
import pytest
from rosbags.rosbag2 import Reader
from substep_interfaces.action import ExecuteTask

from substep_bags.repair import repair
from substep_bringup.exit_codes import ExitCode
from tests.processes import ProcessUnderTest

START = 90.0  # s, until a phase is reached
END = 60.0  # s, until everybody is gone


CHEAP = ("--policy", "demonstrator", "--image-size", "64", "64")
SHORT = ("--suite", "libero_goal", "--task", "8", *CHEAP)  # of two substeps
SOUP = ("--suite", "libero_object", "--task", "0", *CHEAP)


class Sim:
    """``substep sim``, its output in a file."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.runs = folder / "runs"
        own_domain = ["env", "-u", "ROS_DOMAIN_ID"]  # the run chooses one
        command = [*own_domain, sys.executable, "-m", "substep_cli", "sim"]
        self.process = ProcessUnderTest([*command, "--runs", str(self.runs), *arguments], folder / "sim.log")

    def end(self, timeout: float = END) -> int:
        """Exit code, once it is sure that nobody is left."""
        exit_code = self.process.wait(timeout)
        assert self.process.family() == []
        return exit_code

    @property
    def folder(self) -> Path:
        (folder,) = self.runs.iterdir()
        return folder

    def summary(self) -> dict:
        return json.loads((self.folder / "summary.json").read_text())

    def frames(self) -> int:
        """Frames of the video that can be decoded, none of them empty."""
        video = imageio.imread(self.folder / "video.mp4", plugin="FFMPEG")
        assert video.max() > 0
        return len(video)


@pytest.fixture
def sim(tmp_path):
    """Starts a run that ends with the test: of a short task, with these arguments besides."""
    started = []

    def start(*arguments: str, defaults: tuple[str, ...] = SHORT) -> Sim:
        started.append(Sim(tmp_path, *defaults, *arguments))
        return started[-1]

    yield start
    for run in started:
        run.process.close()


POLITE = "I'm afraid my hands are full, so would you mind dropping the letter soup into the woven hamper?"


def test_a_run_told_politely_succeeds_and_leaves_video_bag_summary_and_logs(sim):
    run = sim("--record", "--task-text", POLITE, defaults=SOUP)
    assert run.end(START) == ExitCode.SUCCESS, run.process.tail()
    summary = run.summary()
    assert (summary["verdict"], summary["success"], summary["task"]["suite"]) == ("success", True, "libero_object")
    assert [step["ended"] for step in summary["plan"]["substeps"]] == ["eos", "goal reached"]
    assert sum(step["steps"] for step in summary["plan"]["substeps"]) == summary["steps"] > 0
    assert run.frames() >= 0.9 * summary["steps"]
    with Reader(run.folder / "bag") as bag:
        counts = {item.topic: item.msgcount for item in bag.connections}
    assert summary["bag"] == {"folder": "bag", "messages": sum(counts.values()), "dropped": 0, "problem": ""}
    chunks = sum(count for outcome, count in summary["chunks"].items() if outcome != "rejections")
    assert counts["/action_chunk"] == counts["/chunk_report"] == chunks
    assert counts["/camera/agentview/image_raw"] > summary["steps"], "the first instant, and that after every step"
    for node in ("recorder", "bridge", "policy", "planner"):
        assert (run.folder / "logs" / f"{node}.log").stat().st_size > 0
    assert "substep 2/2  place the alphabet soup in the basket" in run.process.text()


def test_without_arguments_a_learned_policy_does_a_task_of_several_substeps_from_what_it_sees(sim):
    run = sim(defaults=())
    assert run.end(START) == ExitCode.SUCCESS, run.process.tail()
    summary = run.summary()
    assert summary["success"] and summary["policy"].startswith("compact")
    assert [step["ended"] for step in summary["plan"]["substeps"]][:3] == ["eos"] * 3


def test_a_recorder_that_is_killed_disturbs_nobody_and_its_bag_can_be_repaired(sim):
    run = sim("--record", "--no-video")
    run.process.wait_for_text("substep 2/2", START)
    run.process.member("recorder_node").send_signal(signal.SIGKILL)
    assert run.end(START) == ExitCode.SUCCESS, run.process.tail()
    bag = run.folder / "bag"
    assert run.summary()["bag"]["problem"] == f"the recorder has not finished it; ./substep bag repair {bag}"
    assert "recorder was ended by SIGKILL" in run.process.text()
    assert repair(bag).messages > 100
    with Reader(bag) as reader:
        first = next(item for item in reader.connections if item.topic == "/active_substep")
        assert first.msgcount > 0


PHASES = {
    "starting": "ROS_DOMAIN_ID=",
    "configuring": "configuring",
    "first substep": "substep 1/2",
}


@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_in_every_phase_leaves_nobody_and_a_readable_run(sim, phase):
    run = sim()
    run.process.wait_for_text(PHASES[phase], START)
    run.process.interrupt_terminal()
    assert run.end() == ExitCode.INTERRUPTED
    if phase == "starting":
        return
    summary = run.summary()
    assert (summary["verdict"], summary["success"]) == ("interrupted", False)
    if "substep" in phase:
        assert run.frames() > 0
        assert summary["plan"]["substeps"][0]["instruction"] == "pick up the bowl"


def test_ctrl_c_while_a_finished_run_is_taken_down_spoils_nothing(sim):
    run = sim()
    run.process.wait_for_text("success: ", START)
    run.process.interrupt_terminal()
    assert run.end() == ExitCode.INTERRUPTED
    assert run.summary()["success"] and run.frames() > 0


def test_a_policy_killed_in_mid_task_ends_the_run_with_an_error(sim):
    run = sim()
    run.process.wait_for_text("substep 1/2", START)
    run.process.member("policy_node").send_signal(signal.SIGKILL)
    assert run.end() == ExitCode.NODE_DIED
    summary = run.summary()
    assert (summary["verdict"], summary["success"]) == ("node died", False)
    assert "policy was ended by SIGKILL" in summary["error"]["message"]
    assert run.frames() > 0


def test_an_instruction_without_a_plan_ends_the_run_with_an_error(sim):
    run = sim("--task-text", "tell me a joke")
    assert run.end(START) == ExitCode.TASK_FAILED
    assert run.summary()["error"]["code"] == ExecuteTask.Result.NO_PLAN
    assert "tell me a joke" in run.process.text()


def test_a_parameter_out_of_range_ends_the_run_and_names_it(sim, tmp_path):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text("/**/bridge: {ros__parameters: {safety: {max_step: {translation: -1.0}}}}")
    run = sim("--params-file", str(parameters))
    assert run.end(START) == ExitCode.BRINGUP_FAILED
    assert "safety.max_step.translation" in run.process.text() and "-1.0" in run.process.text()
    assert "safety.max_step.translation" in run.summary()["error"]["message"]


def test_a_bad_argument_is_named_before_anything_starts(sim):
    run = sim("--suite", "libero_object", "--task", "10", defaults=())
    assert run.end() == ExitCode.BAD_ARGUMENTS
    for words in ("task 10 is not one of libero_object", "pick up the orange juice"):
        assert words in run.process.text()
    assert not run.runs.exists()

"""What a viewer is shown of a bag, where the bag is looked for, and the recording that Rerun reads."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import httpx
import numpy as np
import psutil
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkRefusal, ChunkReport, EpisodeStatus

from substep_bags.graph_bag import GraphBag
from substep_bags.reader import Bag, BagError
from substep_cli.grammar import main
from substep_core.chunk import Chunk
from substep_core.contract import contract_to_text
from substep_core.ros import topics
from substep_core.ros.diagnostics import diagnostic_status
from substep_core.ros.messages import to_time
from tests.processes import ProcessUnderTest, wait_until
from tests.recorded_run import PLAN, ROBOT, write_run
from training.view import server
from training.view.drawing import Drawing
from training.view.entries import Entry, EventText, Numbers, Picture, Position, State
from training.view.live import ViewerNode
from training.view.server import ViewerServer
from training.view.sources import entries, find_bag

ROOT = Path(__file__).parents[2]


class Circling:
    """Chunks of four actions, the last of which ends the substep."""

    name, device, dtype, requires_scene = "circling", "cpu", "float32", False
    robot, cameras, horizon = ROBOT, ROBOT.camera_names, 4

    def start_substep(self, instruction: str, task: str) -> None: ...

    def predict(self, observation) -> Chunk:
        actions = np.tile(np.float32([0.5, 0, 0, 0, 0, 0.25, 1]), (4, 1))
        return Chunk(actions, np.float32([0.1, 0.2, 0.3, 0.9]), 3)


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "bag"
    write_run(folder, Circling(), chunks=1)
    return folder


@pytest.fixture(scope="module")
def shown(bag) -> list[Entry]:
    with Bag(bag) as opened:
        graph = GraphBag(opened)
        return list(entries(graph, Drawing(graph.contract)))


def at(shown: list[Entry], path: str) -> list[Entry]:
    return [entry for entry in shown if entry.path == path]


def test_what_the_robot_senses_is_shown_at_its_time(shown):
    for camera in ROBOT.cameras:
        pictures = at(shown, f"cameras/{camera.name}")
        assert {entry.stamp for entry in pictures} == {step * ROBOT.period_ns for step in range(9)}
        assert all(isinstance(entry.value, Picture) for entry in pictures)
        assert pictures[0].value.pixels.shape == (camera.height, camera.width, 3)
    places = at(shown, "places/eef_pose")
    assert isinstance(places[0].value, Position) and places[-1].value.position[2] > places[0].value.position[2] > 0.29
    assert at(shown, "joints/fingers")[0].value == Numbers((0.02, 0.02))


def test_actions_are_shown_by_group_in_physical_units_at_the_step_that_they_were_played_in(shown):
    moves, turns = at(shown, "actions/translation"), at(shown, "actions/rotation")
    assert [entry.stamp for entry in moves] == [step * ROBOT.period_ns for step in range(8)]
    scale = {group.name: group.scale for group in ROBOT.action}
    assert moves[0].value.values == pytest.approx((0.5 * scale["translation"], 0, 0))
    assert turns[0].value.values == pytest.approx((0, 0, 0.25 * scale["rotation"]))
    assert [entry.value.values[0] for entry in at(shown, "eos/probability")] == pytest.approx([0.1, 0.2, 0.3, 0.9] * 2)
    assert at(shown, "eos/threshold") == [], "nobody has said which it is"


def test_substeps_are_states_that_follow_each_other(shown):
    substeps = at(shown, "progress/substep")
    assert [entry.value for entry in substeps] == [State(f"{i + 1} {text}") for i, (text, _) in enumerate(PLAN)]
    assert substeps[1].stamp == 4 * ROBOT.period_ns
    assert [entry.value for entry in at(shown, "progress/playing")] == [State("playing")]


def test_plots_have_the_curves_that_the_entries_fill(shown):
    curves = {plot.path: len(plot.curves) for plot in Drawing(ROBOT).plots}
    numbers = {entry.path: len(entry.value.values) for entry in shown if isinstance(entry.value, Numbers)}
    assert numbers.items() <= curves.items() and {"actions/gripper", "joints/fingers"} <= numbers.keys()


def hear(drawing: Drawing, topic: topics.Topic, message, stamp: int = 0) -> list[Entry]:
    if hasattr(message, "header"):
        message.header.stamp = to_time(stamp)
    return list(drawing.hear(topic, message))


def test_what_goes_wrong_is_told_in_words():
    drawing = Drawing(ROBOT)
    refused = hear(drawing, topics.CHUNK_REFUSAL, ChunkRefusal(reason="no such object"), 5)
    assert refused == [Entry("events/policy", 5, EventText("no chunk: no such object", "WARN"))]
    for latched, level in ((False, "WARN"), (True, "ERROR")):
        report = ChunkReport(outcome=ChunkReport.REJECTED, reason="too fast", latched=latched)
        told = hear(drawing, topics.CHUNK_REPORT, report, 6)
        assert told == [Entry("events/guard", 6, EventText("chunk rejected: too fast", level))]
    held = EpisodeStatus(hold_kind=EpisodeStatus.HOLD_LATCHED, hold_reason="latched: too fast")
    assert [entry.value for entry in hear(drawing, topics.EPISODE_STATUS, held, 7)] == [
        State("latched"),
        EventText("latched: too fast", "ERROR"),
    ]
    event = ExecuteTask.Feedback(event=ExecuteTask.Feedback.EVENT_RETRIED, event_text="retried: timeout")
    event.substep_index, event.instruction, event.similarity = 1, "open the drawer", 0.25
    said = hear(drawing, topics.EXECUTE_TASK.feedback, ExecuteTask.Impl.FeedbackMessage(feedback=event))
    assert said == [
        Entry("completion/similarity", 7, Numbers((0.25,))),
        Entry("events/planner", 7, EventText("retried: timeout: 2 open the drawer")),
    ]


def test_a_substep_is_told_when_it_changes_and_not_with_every_sign_of_life():
    drawing = Drawing(ROBOT)
    first = ActiveSubstep(plan_id="p", instruction="open the drawer")
    again = ActiveSubstep(plan_id="p", instruction="open the drawer", attempt=1)
    told = [hear(drawing, topics.ACTIVE_SUBSTEP, item) for item in (first, first, again, ActiveSubstep())]
    states = [[entry.value.name for entry in each] for each in told]
    assert states == [["1 open the drawer"], [], ["1 open the drawer (attempt 2)"], [None]]


def test_a_substep_that_is_heard_first_is_told_at_its_own_time():
    drawing, latched = Drawing(ROBOT), ActiveSubstep(plan_id="p", instruction="open the drawer")
    assert hear(drawing, topics.ACTIVE_SUBSTEP, latched, 7) == [
        Entry("progress/substep", 7, State("1 open the drawer"))
    ]
    event = ExecuteTask.Feedback(similarity=0.25)
    said = hear(drawing, topics.EXECUTE_TASK.feedback, ExecuteTask.Impl.FeedbackMessage(feedback=event))
    assert said == [Entry("completion/similarity", 7, Numbers((0.25,)))], "which has no stamp"


def test_actions_are_shown_of_which_no_eos_probability_is_known():
    drawing, chunk = Drawing(ROBOT), ActionChunk(horizon=2, action_dim=7, actions=[0.0] * 14, eos_probabilities=[0.5])
    assert hear(drawing, topics.ACTION_CHUNK, chunk) == []
    report = ChunkReport(outcome=ChunkReport.PLAYED, steps_played=2, commands=[0.0] * 14)
    shown = hear(drawing, topics.CHUNK_REPORT, report)
    assert len(at(shown, "actions/gripper")) == 2
    assert at(shown, "eos/probability") == [Entry("eos/probability", 0, Numbers((0.5,)))]


def test_of_a_chunk_that_came_late_what_was_commanded_is_shown_when_it_was():
    """Its first two actions had passed, and the third was joined with what was queued."""
    drawing, chunk = Drawing(ROBOT), ActionChunk(horizon=4, action_dim=7, actions=[1.0] * 28)
    chunk.eos_probabilities = [0.0, 0.25, 0.5, 0.75]
    hear(drawing, topics.ACTION_CHUNK, chunk)
    report = ChunkReport(outcome=ChunkReport.PLAYED, steps_played=2, first_action=2, first_stamp=to_time(1000))
    report.commands = [*[0.5] * 6, -1.0, *[0.75] * 6, 1.0]
    shown = hear(drawing, topics.CHUNK_REPORT, report)
    times = [1000, 1000 + ROBOT.period_ns]
    assert [(entry.stamp, entry.value.values) for entry in at(shown, "actions/gripper")] == [
        (times[0], (-1.0,)),
        (times[1], (1.0,)),
    ]
    assert [(entry.stamp, entry.value.values) for entry in at(shown, "eos/probability")] == [
        (times[0], (0.5,)),
        (times[1], (0.75,)),
    ]


def test_the_threshold_is_the_one_that_the_policy_tells(bag):
    with Bag(bag) as opened:
        graph = GraphBag(opened)
        drawing = Drawing(graph.contract)
        status = diagnostic_status("left/policy", "inference", "ok", values={"eos_threshold": 0.875})
        assert hear(drawing, topics.DIAGNOSTICS, DiagnosticArray(status=[status])) == []
        lines = at(list(entries(graph, drawing)), "eos/threshold")
    assert [entry.value for entry in lines] == [Numbers((0.875,))] * 8


def test_a_running_graph_is_shown_from_its_contract_on():
    context, shown, robots = rclpy.Context(), [], []
    rclpy.init(context=context)

    def begin(robot):
        robots.append(robot)
        return shown.extend

    viewer = ViewerNode(begin, context=context, namespace="/left")
    others = rclpy.create_node("others", context=context, namespace="/left")
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(viewer), executor.add_node(others)
    topics.ROBOT_CONTRACT.publisher(others).publish(String(data=contract_to_text(ROBOT)))
    substeps, poses = topics.ACTIVE_SUBSTEP.publisher(others), topics.EEF_POSE.publisher(others)
    substeps.publish(ActiveSubstep(plan_id="p", instruction="open the drawer"))  # latched
    deadline = time.monotonic() + 60
    while {entry.path for entry in shown} != {"progress/substep", "places/eef_pose"}:
        assert time.monotonic() < deadline, shown
        poses.publish(PoseStamped())
        executor.spin_once(timeout_sec=0.05)
    assert robots == [ROBOT] and at(shown, "progress/substep")[0].value == State("1 open the drawer")
    executor.shutdown()
    viewer.destroy_node(), others.destroy_node()
    rclpy.shutdown(context=context)


def test_a_bag_is_found_in_a_run_and_in_an_episode(bag, tmp_path):
    run = bag.parent
    assert find_bag(bag) == find_bag(run) == find_bag(run.parent / run.name) == bag
    episode = tmp_path / "libero_goal_8_benchmark_policy_000"
    episode.mkdir()
    (episode / "2026-01-01_00-00-00").symlink_to(run)
    assert find_bag(episode) == episode / "2026-01-01_00-00-00" / "bag"
    (episode / "2026-01-02_00-00-00").symlink_to(run)
    with pytest.raises(BagError, match="holds 2 bags: name one of them"):
        find_bag(episode)
    (tmp_path / "without").mkdir()
    with pytest.raises(BagError, match="holds no bag, neither in it nor in bag/: record with"):
        find_bag(tmp_path / "without")


def test_what_is_not_installed_is_named_with_the_command_that_installs_it(bag, monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert main(["view", str(bag), "--out", str(tmp_path / "run.rrd")]) == 1
    said = capsys.readouterr().err.strip()
    assert said == "substep view: rerun-sdk is not installed: ./substep install -r requirements/view.txt"
    (pinned,) = [line for line in (ROOT / "requirements/view.txt").read_text().splitlines() if not line.startswith("#")]
    assert pinned.startswith("rerun-sdk==")


def test_a_bag_or_the_running_graph_is_looked_at_and_not_both(bag, capsys):
    for words in ([], [str(bag), "--live"]):
        assert main(["view", *words]) == 2
        assert (
            capsys.readouterr().err == "substep view: name a run, a bag or an episode, or give --live, and not both\n"
        )


def test_what_would_stop_a_live_view_is_said_before_a_graph_is_heard(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rerun", None)
    for domain, said in (
        ("abc", "ROS_DOMAIN_ID is 'abc', expected a number from 0 to 232"),
        ("233", "ROS_DOMAIN_ID is '233', expected a number from 0 to 232"),
        ("", "rerun-sdk is not installed: ./substep install -r requirements/view.txt"),
    ):
        with mock.patch.dict(os.environ, ROS_DOMAIN_ID=domain):  # the command sets more
            assert main(["view", "--live"]) == 1
        assert capsys.readouterr().err == f"substep view: {said}\n"


def free_ports() -> int:
    """The first of two, one after the other."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port


def listening(*ports: int) -> dict[int, str]:
    """Port -> address, of those at which something listens."""
    found = [item.laddr for item in psutil.net_connections("tcp") if item.status == psutil.CONN_LISTEN]
    return {address.port: address.ip for address in found if address.port in ports}


@pytest.mark.parametrize(
    ("what", "said", "code"),
    [("bag", "all of it is there; Ctrl-C ends this", 130), ("live", "waits for a graph that says its /left/", 0)],
)
def test_ctrl_c_at_a_terminal_ends_the_command_without_a_complaint(bag, tmp_path, what, said, code):
    pytest.importorskip("rerun", reason="an extra: ./substep install -r requirements/view.txt")
    port = free_ports()
    words = [str(bag)] if what == "bag" else ["--live", "--namespace", "/left"]
    command = [sys.executable, "-m", "substep_cli", "view", *words, "--port", str(port)]
    process = ProcessUnderTest(command, tmp_path / "view.log")
    try:
        process.wait_for_text(said, 60)
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
        process.interrupt_terminal()
        assert process.wait() == code and "Traceback" not in process.text(), process.tail()
        wait_until(lambda: not process.family(), "the end of the server")
    finally:
        process.close()


def test_a_taken_port_is_said_before_a_graph_is_heard(capsys):
    pytest.importorskip("rerun", reason="an extra: ./substep install -r requirements/view.txt")
    with socket.socket() as other, mock.patch.dict(os.environ):
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        assert main(["view", "--live", "--port", str(port)]) == 1
    assert f"port {port} is taken: choose another with --port" in capsys.readouterr().err


def test_the_page_is_served_to_this_machine_and_ends_with_the_command():
    pytest.importorskip("rerun", reason="an extra: ./substep install -r requirements/view.txt")
    port = free_ports()
    served = ViewerServer(port)
    assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
    wait_until(lambda: len(listening(port, port + 1)) == 2, "the server of the data")
    assert listening(port, port + 1) == dict.fromkeys((port, port + 1), "127.0.0.1")
    with pytest.raises(OSError, match=f"port {port} is taken"):
        ViewerServer(port)
    served.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/")


def test_a_server_that_does_not_come_up_is_told_in_its_own_words(tmp_path, monkeypatch):
    program = tmp_path / "rerun"
    program.write_text("#!/bin/sh\necho 'no room for a page' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(server, "import_module", lambda name: SimpleNamespace(__file__=str(tmp_path / "__init__.py")))
    port = free_ports()
    with pytest.raises(OSError, match=f"did not come up at port {port}: no room for a page"):
        ViewerServer(port)


def test_reruns_own_program_reads_what_was_written(bag, tmp_path):
    pytest.importorskip("rerun", reason="an extra: ./substep install -r requirements/view.txt")
    file = tmp_path / "run.rrd"
    assert main(["view", str(bag.parent), "--out", str(file)]) == 0
    command = [sys.executable, "-m", "rerun_cli", "rrd", "print", "-vv", str(file)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for path in ("cameras/agentview", "places/eef_pose", "actions/translation", "eos/probability", "progress/substep"):
        assert f"/{path}" in printed, path

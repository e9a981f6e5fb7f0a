"""The bridge node among a scripted planner and policy: its topics, both clocks, its guard, its service."""

from __future__ import annotations

import copy
import hashlib
import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Log
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkReport, ChunkRequest, EpisodeStatus, SceneState
from substep_interfaces.srv import ResetEpisode

from libero_bridge.bridge_node import RELIABLE, REPORTS, BridgeNode
from libero_bridge.chunk_player import REST_STEPS
from libero_bridge.world_publisher import CLOCK_QOS, LATCHED_QOS
from substep_policy.chunk import Chunk
from substep_policy.messages import chunk_to_message, image_from_message, to_nanoseconds, to_time

pytestmark = [pytest.mark.xdist_group("bridge_node")]
TIMEOUT = 60.0
NUMBERS = itertools.count()
SENSORS = {
    "camera/agentview/image_raw": Image,
    "camera/agentview/camera_info": CameraInfo,
    "joint_states": JointState,
    "eef_pose": PoseStamped,
    "scene_state": SceneState,
}
PARAMETERS = {
    "suite": "libero_object",
    "cameras": ["agentview"],
    "image_height": 32,
    "image_width": 48,
    "repeat_period": 0.2,
    "settle_steps": 2,
}


class Puppet:
    """A planner and a policy that do what the test says, and a memory of all that the bridge published."""

    def __init__(self, node: rclpy.node.Node) -> None:
        self.node = node
        self.heard: dict[str, list] = {}
        self.answer: Callable[[ChunkRequest], ActionChunk | None] = lambda request: None
        self._changed = threading.Condition()
        for topic, kind in SENSORS.items():
            self._listen(kind, topic, qos_profile_sensor_data)
        self._listen(Clock, "/clock", CLOCK_QOS)
        self._listen(EpisodeStatus, "episode_status", LATCHED_QOS)
        self._listen(ChunkReport, "chunk_report", REPORTS)
        self._listen(DiagnosticArray, "/diagnostics", 10)
        self._listen(ChunkRequest, "chunk_request", RELIABLE, self._on_request)
        self.substeps = node.create_publisher(ActiveSubstep, "active_substep", LATCHED_QOS)
        self.chunks = node.create_publisher(ActionChunk, "action_chunk", RELIABLE)
        self.resets = node.create_client(ResetEpisode, "reset_episode")
        self.transitions = node.create_client(ChangeState, "bridge/change_state")

    def activate(self, index: int, plan_id: str = "plan") -> None:
        self.substeps.publish(ActiveSubstep(plan_id=plan_id, index=index, count=9, instruction="move"))

    def change_state(self, transition: int) -> bool:
        assert self.transitions.wait_for_service(TIMEOUT)
        future = self.transitions.call_async(ChangeState.Request(transition=Transition(id=transition)))
        self.wait_for(future.done)
        return future.result().success

    def is_new(self, episode: int) -> bool:
        """The episode is there, and nothing of it is active."""
        statuses = self.of("episode_status")
        return bool(statuses) and (statuses[-1].episode, statuses[-1].hold_reason) == (episode, "waiting for a substep")

    def reset(self, **fields) -> ResetEpisode.Response:
        assert self.resets.wait_for_service(TIMEOUT)
        future = self.resets.call_async(ResetEpisode.Request(**{"task_index": -1, **fields}))
        self.wait_for(future.done)
        return future.result()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Looks again whenever a message came, and now and then, for a service's answer is none."""
        deadline = time.monotonic() + TIMEOUT
        with self._changed:
            while not condition():
                assert time.monotonic() < deadline, {name: len(messages) for name, messages in self.heard.items()}
                self._changed.wait(0.05)

    def of(self, topic: str) -> list:
        return self.heard.setdefault(topic, [])

    def reports(self) -> list[ChunkReport]:
        return self.of("chunk_report")

    def status(self) -> EpisodeStatus:
        return self.of("episode_status")[-1]

    def _listen(self, kind, topic, qos, also: Callable = lambda message: None) -> None:
        def remember(message) -> None:
            self.of(topic).append(message)
            also(message)
            with self._changed:
                self._changed.notify_all()

        self.node.create_subscription(kind, topic, remember, qos)

    def _on_request(self, request: ChunkRequest) -> None:
        if (chunk := self.answer(request)) is not None:
            self.chunks.publish(chunk)


@contextmanager
def spinning(*nodes: rclpy.node.Node) -> Iterator[None]:
    """Each node in an executor and a thread of its own, as processes would be."""
    executors = [SingleThreadedExecutor() for _ in nodes]
    for executor, node in zip(executors, nodes, strict=True):
        executor.add_node(node)
    threads = [threading.Thread(target=executor.spin, daemon=True) for executor in executors]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for executor in executors:
            executor.shutdown()
        for thread in threads:
            thread.join(TIMEOUT)


@pytest.fixture(scope="module")
def ros() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.try_shutdown()


@contextmanager
def unconfigured_bridge(**parameters) -> Iterator[Puppet]:
    overrides = [Parameter(name, value=value) for name, value in {**PARAMETERS, **parameters}.items()]
    namespace = f"test_{next(NUMBERS)}"  # several bridges live side by side
    bridge = BridgeNode(parameter_overrides=overrides, namespace=namespace)
    other = rclpy.create_node("puppet", namespace=namespace)
    puppet = Puppet(other)
    with spinning(bridge, other):
        yield puppet
    bridge.destroy_node()
    other.destroy_node()


@contextmanager
def running_bridge(**parameters) -> Iterator[Puppet]:
    with unconfigured_bridge(**parameters) as puppet:
        assert puppet.change_state(Transition.TRANSITION_CONFIGURE)
        assert puppet.change_state(Transition.TRANSITION_ACTIVATE)
        yield puppet
        assert puppet.change_state(Transition.TRANSITION_DEACTIVATE)
        assert puppet.change_state(Transition.TRANSITION_CLEANUP)


def answering(horizon: int = 4, eos: bool = False, value: float = 0.3, **changes) -> Callable:
    """A policy that always moves on by the same actions. changes: fields of the message to spoil."""

    def answer(request: ChunkRequest) -> ActionChunk:
        actions = np.full((horizon, 7), value, np.float32)
        chunk = Chunk(actions, np.linspace(0, 0.9, horizon, dtype=np.float32), horizon - 1 if eos else -1)
        message = chunk_to_message(chunk, request, "puppet", 0.01)
        for name, content in changes.items():
            setattr(message, name, content)
        return message

    return answer


@pytest.fixture(scope="module")
def lockstep(ros) -> Iterator[Puppet]:
    with running_bridge() as puppet:
        yield puppet


@pytest.fixture
def puppet(lockstep) -> Iterator[Puppet]:
    """A new episode, nothing active, everything before it forgotten."""
    lockstep.answer = lambda request: None
    lockstep.activate(0, plan_id="")
    episode = lockstep.reset().episode
    lockstep.wait_for(lambda: lockstep.is_new(episode))
    lockstep.heard = {}
    yield lockstep
    lockstep.activate(0, plan_id="")


def test_without_a_substep_the_world_holds(puppet):
    response = puppet.reset(seed=3)
    puppet.wait_for(lambda: puppet.of("episode_status") and puppet.status().episode == response.episode)
    status = puppet.status()
    assert (status.step, status.holding, status.hold_reason) == (0, True, "waiting for a substep")
    assert status.instruction == response.instruction == "pick up the alphabet soup and place it in the basket"
    assert puppet.of("chunk_request") == []


def test_an_observation_has_one_stamp_and_says_what_the_camera_is(puppet):
    puppet.reset()
    puppet.wait_for(lambda: all(puppet.of(topic) for topic in SENSORS) and puppet.of("/clock"))
    newest = {topic: puppet.of(topic)[-1] for topic in SENSORS}
    stamps = {to_nanoseconds(message.header.stamp) for message in newest.values()}
    assert stamps == {to_nanoseconds(puppet.of("/clock")[-1].clock)}
    image, info = newest["camera/agentview/image_raw"], newest["camera/agentview/camera_info"]
    assert (image.height, image.width, image.header.frame_id) == (32, 48, "agentview_optical_frame")
    assert image_from_message(image).std() > 5
    assert (info.height, info.width, info.header.frame_id) == (32, 48, "agentview_optical_frame")
    assert info.k[0] == info.k[4] > 0 and (info.k[2], info.k[5]) == (23.5, 15.5)
    names = newest["joint_states"].name
    assert len(names) == 9 and [name for name in names if "finger_joint" in name] == names[7:]
    assert newest["eef_pose"].header.frame_id == "world"
    assert newest["scene_state"].predicates == ["in alphabet_soup_1 basket_1_contain_region"]


def test_chunks_are_asked_for_played_and_reported_until_eos(puppet):
    answers = iter([answering(3), answering(2, eos=True)])
    puppet.answer = lambda request: next(answers)(request)
    puppet.activate(1)
    puppet.wait_for(lambda: len(puppet.reports()) == 2)
    first, second = puppet.reports()
    assert (first.outcome, first.steps_played, first.reason) == (ChunkReport.PLAYED, 3, "")
    assert (second.outcome, second.steps_played) == (ChunkReport.PLAYED_EOS, 2)
    assert (second.plan_id, second.substep_index, round(second.eos_probability, 3)) == ("plan", 1, 0.9)
    assert second.gripper == pytest.approx(0.3) and 0.01 < second.gripper_width < 0.08, "a closing hand"
    assert to_nanoseconds(second.chunk_stamp) - to_nanoseconds(first.chunk_stamp) == 3 * 50_000_000
    puppet.wait_for(lambda: puppet.status().step == 5 and puppet.status().holding)
    assert puppet.status().hold_reason == "waiting for the next substep"
    assert len(puppet.of("camera/agentview/image_raw")) >= 5
    puppet.answer = answering(1, eos=True)
    puppet.activate(2)
    puppet.wait_for(lambda: len(puppet.reports()) == 3)
    assert puppet.reports()[2].substep_index == 2
    puppet.substeps.publish(ActiveSubstep(plan_done=True))
    puppet.wait_for(lambda: puppet.status().step == 6 + REST_STEPS)
    puppet.wait_for(lambda: puppet.status().hold_reason == "waiting for a substep")


def test_a_request_that_stays_unanswered_is_repeated_with_its_observation(puppet):
    puppet.activate(1)
    puppet.wait_for(lambda: len(puppet.of("chunk_request")) >= 3 and len(puppet.of("eef_pose")) >= 3)
    assert len({to_nanoseconds(request.header.stamp) for request in puppet.of("chunk_request")}) == 1
    assert len({to_nanoseconds(pose.header.stamp) for pose in puppet.of("eef_pose")[1:]}) == 1
    assert puppet.status().step == 0 and puppet.status().hold_reason == "waiting for a chunk"


def test_another_substep_takes_over_in_the_middle_of_a_chunk(puppet):
    def answer(request: ChunkRequest) -> ActionChunk:
        return answering(60)(request) if request.substep_index == 1 else answering(2, eos=True)(request)

    puppet.answer = answer
    puppet.activate(1)
    puppet.wait_for(lambda: puppet.of("episode_status") and puppet.status().step >= 3)
    puppet.activate(2)
    puppet.wait_for(lambda: len(puppet.reports()) == 2)
    first, second = puppet.reports()
    assert first.outcome == ChunkReport.SUPERSEDED and 0 < first.steps_played < 60 and "substep" in first.reason
    assert (second.outcome, second.substep_index) == (ChunkReport.PLAYED_EOS, 2)


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({"value": float("nan")}, "finite"),
        ({"value": 1.5}, "speed"),
        ({"action_dim": 6}, "shape"),
        ({"actions": [0.0] * 13}, "shape"),
    ],
)
def test_a_bad_chunk_is_dropped_whole_reported_and_diagnosed(puppet, spoilt, words):
    answers = iter([answering(**{"horizon": 2, **spoilt}), answering(2, eos=True)])
    puppet.answer = lambda request: next(answers)(request)
    puppet.activate(1)
    puppet.wait_for(lambda: len(puppet.reports()) == 2)
    rejected, played = puppet.reports()
    assert (rejected.outcome, rejected.steps_played) == (ChunkReport.REJECTED, 0) and words in rejected.reason
    assert played.outcome == ChunkReport.PLAYED_EOS, "the policy was asked again"
    puppet.wait_for(lambda: any(words in status.message for status in safety(puppet)))


def test_old_and_foreign_chunks_are_not_played(puppet):
    requests = []
    puppet.answer = requests.append
    puppet.activate(1)
    puppet.wait_for(lambda: requests)
    old = answering(2)(requests[0])
    set_back(old, 50_000_000)
    changes = ({"substep_index": 7}, {"episode": 0}, {"plan_id": "other"})
    foreign = [answering(2, **change)(requests[0]) for change in changes]
    for count, chunk in enumerate([*foreign, old], start=1):
        puppet.chunks.publish(chunk)
        puppet.wait_for(lambda: len(puppet.reports()) == count)  # noqa: B023 (called at once)
    outcomes = [report.outcome for report in puppet.reports()]
    assert outcomes == [ChunkReport.SUPERSEDED] * 3 + [ChunkReport.REJECTED]
    assert "age" in puppet.reports()[3].reason
    assert puppet.status().step == 0


def test_after_repeated_failures_the_arm_holds_until_reset(puppet):
    puppet.answer = answering(2, value=float("inf"))
    puppet.activate(1)
    puppet.wait_for(lambda: any(report.latched for report in puppet.reports()))
    assert [report.latched for report in puppet.reports()] == [False, False, True]
    puppet.wait_for(lambda: puppet.status().hold_reason.startswith("latched"))
    puppet.wait_for(lambda: any(status.level == DiagnosticStatus.ERROR for status in safety(puppet)))
    puppet.answer = answering(2, eos=True)
    puppet.reset()
    puppet.wait_for(lambda: puppet.reports()[-1].outcome == ChunkReport.PLAYED_EOS)


def test_the_horizon_ends_the_episode(ros):
    with running_bridge(horizon=3) as puppet:
        puppet.answer = answering(8)
        puppet.activate(0)
        puppet.wait_for(lambda: puppet.reports())
        assert (puppet.reports()[0].outcome, puppet.reports()[0].steps_played) == (ChunkReport.SUPERSEDED, 3)
        puppet.wait_for(lambda: puppet.status().done)
        assert (puppet.status().success, puppet.status().hold_reason) == (False, "episode over: horizon reached")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"suite": "libero_x"}, "libero_x"),
        ({"task_index": 10}, "task 10"),
        ({"init_state": 50}, "init_state 50"),
        ({"placement": 9}, "placement 9"),
    ],
)
def test_a_reset_that_cannot_be_done_says_why_and_changes_nothing(puppet, fields, words):
    before = puppet.reset().episode
    response = puppet.reset(**fields)
    assert not response.success and words in response.message
    assert response.episode == before


def test_a_reset_changes_the_task(ros):
    with running_bridge() as puppet:
        response = puppet.reset(suite="libero_goal", task_index=7, placement=ResetEpisode.Request.WIDENED, seed=1)
        assert response.success and response.instruction == "turn on the stove"
        puppet.wait_for(lambda: puppet.status().suite == "libero_goal" and "flat_stove_1" in object_names(puppet))
        stamps = [to_nanoseconds(message.header.stamp) for message in puppet.of("joint_states")]
        assert stamps == sorted(set(stamps)), "world time goes on"


def test_a_lockstep_run_repeats_bit_for_bit(puppet):
    def run() -> str:
        puppet.heard = {}
        puppet.answer = answering(5, value=-0.2)
        puppet.activate(1)
        episode = puppet.reset(init_state=1, seed=5).episode
        puppet.wait_for(lambda: puppet.of("episode_status") and puppet.status().step >= 20)
        puppet.activate(0, plan_id="")
        steps = [status for status in puppet.of("episode_status") if status.episode == episode]
        start = to_nanoseconds(next(status for status in steps if status.step == 0).header.stamp)
        puppet.wait_for(lambda: all(observed(puppet, topic, start).keys() >= set(range(21)) for topic in SENSORS))
        digest = hashlib.sha256()
        for topic in SENSORS:
            contents = observed(puppet, topic, start)
            for step in range(21):
                digest.update(contents[step])
        return digest.hexdigest()

    assert run() == run()


def test_in_realtime_the_world_does_not_wait(ros):
    with running_bridge(**{"clock": "realtime", "safety.max_age": 10.0}) as puppet:
        puppet.wait_for(lambda: puppet.status().step >= 5)
        assert puppet.status().holding
        requests = []
        puppet.answer = requests.append
        puppet.activate(1)
        puppet.wait_for(lambda: requests)
        thinking = to_nanoseconds(requests[0].header.stamp)
        puppet.wait_for(lambda: to_nanoseconds(puppet.status().header.stamp) >= thinking + 3 * 50_000_000)
        puppet.chunks.publish(answering(2)(requests[0]))
        puppet.wait_for(lambda: puppet.reports())
        report = puppet.reports()[0]
        assert (report.outcome, report.steps_played) == (ChunkReport.PLAYED, 2)
        assert to_nanoseconds(report.header.stamp) >= thinking + 5 * 50_000_000
        too_late = answering(2)(requests[0])
        set_back(too_late, 11_000_000_000)
        puppet.chunks.publish(too_late)
        puppet.wait_for(lambda: puppet.reports()[-1].outcome == ChunkReport.REJECTED)
        assert "age" in puppet.reports()[-1].reason


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"suite": "libero_x"}, ["suite", "libero_x", "libero_goal"]),
        ({"task_index": 10}, ["task_index", "10", "0 to 9"]),
        ({"task_index": 1000}, ["task_index", "1000", "89"]),
        ({"assets": "/nowhere"}, ["assets", "/nowhere"]),
        ({"cameras": ["frontview"]}, ["cameras", "frontview", "agentview"]),
        ({"image_height": 4}, ["image_height", "4", "16"]),
        ({"clock": "sundial"}, ["clock", "sundial", "lockstep"]),
        ({"placement": "anywhere"}, ["placement", "anywhere", "widened"]),
        ({"safety.max_translation": -1.0}, ["safety.max_translation", "-1.0"]),
        ({"safety.workspace_low": [0.0, 0.0]}, ["safety.workspace_low", "three numbers"]),
        ({"safety.workspace_low": [0.0, 0.0, 2.0]}, ["safety.workspace_low", "2.0"]),
    ],
)
def test_a_bad_parameter_fails_configure_and_is_named(ros, parameters, words):
    with unconfigured_bridge(**parameters) as puppet:
        complaints = []
        puppet.node.create_subscription(Log, "/rosout", lambda line: complaints.append(line.msg), LATCHED_QOS)
        assert not puppet.change_state(Transition.TRANSITION_CONFIGURE)
        puppet.wait_for(lambda: any(all(word in line for word in words) for line in complaints))


def test_it_can_be_cleaned_up_and_configured_again(ros):
    with running_bridge() as puppet:
        assert puppet.change_state(Transition.TRANSITION_DEACTIVATE)
        assert puppet.change_state(Transition.TRANSITION_CLEANUP)
        assert puppet.change_state(Transition.TRANSITION_CONFIGURE)
        assert puppet.change_state(Transition.TRANSITION_ACTIVATE)
        puppet.answer = answering(2, eos=True)
        puppet.activate(1)
        puppet.wait_for(lambda: puppet.reports())


def test_a_signal_in_the_middle_of_a_chunk_ends_the_process_cleanly(ros):
    arguments = ["-r", "__ns:=/process", "-p", "image_height:=32", "-p", "image_width:=32"]
    command = [sys.executable, "-m", "libero_bridge.bridge_node", "--ros-args", *arguments]
    node = rclpy.create_node("puppet", namespace="process")
    puppet = Puppet(node)
    with spinning(node), subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert puppet.change_state(Transition.TRANSITION_CONFIGURE)
            assert puppet.change_state(Transition.TRANSITION_ACTIVATE)
            puppet.answer = answering(60)
            puppet.activate(1)
            puppet.wait_for(lambda: puppet.of("episode_status") and puppet.status().step >= 3)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
    node.destroy_node()
    assert process.returncode == 0 and "Traceback" not in errors


def set_back(chunk: ActionChunk, nanoseconds: int) -> None:
    """Makes a chunk the answer to an earlier observation."""
    chunk.header.stamp = to_time(to_nanoseconds(chunk.header.stamp) - nanoseconds)


def safety(puppet: Puppet) -> list[DiagnosticStatus]:
    statuses = [status for array in puppet.of("/diagnostics") for status in array.status]
    return [status for status in statuses if status.name == f"{puppet.node.get_namespace()}/bridge: safety".lstrip("/")]


def object_names(puppet: Puppet) -> set[str]:
    return {item.name for scene in puppet.of("scene_state")[-1:] for item in scene.objects}


def observed(puppet: Puppet, topic: str, start: int) -> dict[int, bytes]:
    """Control step since ``start`` (ns) -> what was published then, the stamp left out."""
    contents = {}
    for message in list(puppet.of(topic)):
        stamp = to_nanoseconds(message.header.stamp)
        plain = copy.copy(message)
        plain.header = Header(frame_id=message.header.frame_id)
        contents[(stamp - start) // 50_000_000] = serialize_message(plain)
    return contents

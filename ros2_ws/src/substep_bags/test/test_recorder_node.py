"""The recorder in a graph: every topic of it ends up in the bag, and nothing that goes wrong with the bag disturbs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader
from std_msgs.msg import String
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActionChunk, ChunkRefusal

from substep_bags.metadata import read_metadata
from substep_bags.recorder_node import RecorderNode
from substep_core.contract import contract_to_text, load_robot
from substep_core.ros import topics
from substep_core.ros.messages import image_to_message, to_time

ROBOT = load_robot("libero_panda")
CAMERA = topics.camera_image(ROBOT.camera_names[0])


class Graph:
    """A recorder, and a node that says what the others would."""

    def __init__(self, folder, **parameters) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        values = {"bag": str(folder), **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.recorder = RecorderNode(context=self.context, parameter_overrides=overrides, namespace="/left")
        self.others = rclpy.create_node("others", context=self.context, namespace="/left")
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in (self.recorder, self.others):
            self.executor.add_node(node)
        self.heard: list[DiagnosticStatus] = []
        topics.DIAGNOSTICS.subscription(self.others, self._hear)

    def _hear(self, message: DiagnosticArray) -> None:
        self.heard += message.status

    def start(self) -> None:
        assert self.recorder.trigger_configure() is TransitionCallbackReturn.SUCCESS
        assert self.recorder.trigger_activate() is TransitionCallbackReturn.SUCCESS

    def spin_until(self, is_so: Callable[[], object], again: Callable[[], object] = lambda: None) -> None:
        deadline = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < deadline
            again()
            self.executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self.executor.shutdown()
        self.recorder.destroy_node()
        self.others.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def graph(tmp_path):
    made = []

    def make(**parameters) -> Graph:
        made.append(Graph(tmp_path / "bag", **parameters))
        return made[-1]

    yield make
    for item in made:
        item.close()


def speak(graph: Graph) -> Callable[[], None]:
    """What says one message on the topics of a robot and its task; the contract is latched and said once."""
    topics.ROBOT_CONTRACT.publisher(graph.others).publish(String(data=contract_to_text(ROBOT)))
    image = image_to_message(np.full((32, 32, 3), 90, np.uint8), to_time(5), "camera")
    chunk, feedback = ActionChunk(model="m"), ExecuteTask.Impl.FeedbackMessage()
    said = {CAMERA: image, topics.ACTION_CHUNK: chunk, topics.EXECUTE_TASK.feedback: feedback}
    publishers = [(topic.publisher(graph.others), message) for topic, message in said.items()]
    return lambda: [publisher.publish(message) for publisher, message in publishers]


def counts(folder) -> dict[str, int]:
    with Reader(folder) as reader:
        return {item.topic: item.msgcount for item in reader.connections}


def written(graph: Graph) -> dict[str, int]:
    return {name: topic.count for name, topic in graph.recorder._writer._topics.items()}


@pytest.mark.parametrize("images", ["raw", "jpeg"])
def test_all_topics_of_the_graph_and_of_the_robots_contract_are_in_the_bag(graph, tmp_path, images):
    it = graph(images=images, policy="compact", arguments='{"task": 3}')
    it.start()
    topics.ROBOT_CONTRACT.publisher(it.others).publish(String(data="["))  # anybody may; it is recorded, and not heeded
    say = speak(it)
    camera = f"/left/{CAMERA.name}" + ("/compressed" if images == "jpeg" else "")
    wanted = {camera, "/left/action_chunk", "/left/execute_task/_action/feedback", "/left/robot_contract"}
    it.spin_until(lambda: all(written(it).get(name) for name in wanted), say)
    it.spin_until(lambda: written(it)["/left/robot_contract"] == 2)
    it.recorder.trigger_deactivate()
    found = counts(tmp_path / "bag")
    fixed = {topic.name for topic in topics.TOPICS if "<" not in topic.name}
    assert {name if name.startswith("/") else f"/left/{name}" for name in fixed} <= set(found)
    assert all(found[name] for name in wanted)
    about = read_metadata(tmp_path / "bag")["custom_data"]
    assert (about["policy"], len(about["checkpoint"]), about["namespace"]) == ("compact", 16, "/left")
    assert json.loads(about["arguments"]) == {"task": 3} and about["contract"] == contract_to_text(ROBOT)
    assert about["commit"] and about["dropped"] == "0"


def test_what_came_between_two_looks_is_written_in_the_order_and_at_the_time_of_its_arrival(graph, tmp_path):
    it = graph()
    it.start()
    chunks, refusals = (topic.publisher(it.others) for topic in (topics.ACTION_CHUNK, topics.CHUNK_REFUSAL))
    it.spin_until(lambda: chunks.get_subscription_count() and refusals.get_subscription_count())
    begin = time.time_ns()
    for number in range(40):  # while nobody spins
        refusals.publish(ChunkRefusal(episode=number)) if number % 3 else chunks.publish(ActionChunk(episode=number))
    end = time.time_ns()
    said = {"/left/action_chunk": ActionChunk, "/left/chunk_refusal": ChunkRefusal}
    it.spin_until(lambda: sum(written(it)[name] for name in said) == 40)
    it.recorder.trigger_deactivate()
    with Reader(tmp_path / "bag") as reader:
        found = [
            (deserialize_message(data, said[item.topic]).episode, at)
            for item, at, data in reader.messages()
            if item.topic in said
        ]
    assert [number for number, _ in found] == list(range(40))
    assert all(begin <= at <= end for _, at in found)


def test_each_activation_is_a_bag_of_its_own(graph, tmp_path):
    it = graph()
    it.start()
    it.recorder.trigger_deactivate()
    it.recorder.trigger_activate()
    it.recorder.trigger_deactivate()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag", "bag_2"]


def test_a_disk_that_takes_no_more_is_an_error_in_the_diagnostics_and_the_recorder_lives_on(
    graph, tmp_path, monkeypatch
):
    it = graph()
    it.start()

    def full(*given) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(it.recorder._writer, "write", full)
    it.spin_until(lambda: any(status.level == DiagnosticStatus.ERROR for status in it.heard), speak(it))
    (worst,) = {status.message for status in it.heard if status.level == DiagnosticStatus.ERROR}
    assert worst == f"No space left on device: recording into {tmp_path / 'bag'} has ended"
    assert it.recorder.trigger_deactivate() is TransitionCallbackReturn.SUCCESS


def test_a_bag_that_cannot_be_made_is_refused_with_its_name(graph, tmp_path):
    (tmp_path / "file").touch()
    it = graph(bag=str(tmp_path / "file" / "bag"))
    assert it.recorder.trigger_configure() is TransitionCallbackReturn.SUCCESS
    assert it.recorder.trigger_activate() is TransitionCallbackReturn.FAILURE

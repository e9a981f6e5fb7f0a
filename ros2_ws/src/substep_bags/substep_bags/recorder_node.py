"""Lifecycle node ``recorder``: while it is active, every topic of the graph goes into a bag."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import count
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import deserialize_message
from std_msgs.msg import String

from substep_bags import recorder_parameters
from substep_bags.definitions import message_type
from substep_bags.images import COMPRESSED, SUFFIX, JpegEncoder
from substep_bags.inbox import Inbox
from substep_bags.recorded_topics import camera_topics, graph_topics, offered_qos, robot_topics
from substep_bags.recording import BagRecording, RecordingState, SerializedMessage
from substep_bags.writer import BagWriter
from substep_core.contract import contract_from_text
from substep_core.policy_source import fingerprint
from substep_core.provenance import commit, versions
from substep_core.ros import topics
from substep_core.ros.diagnostics import diagnostic_status
from substep_core.ros.lifecycle_node import GraphNode
from substep_core.ros.node_main import run_node
from substep_core.ros.topics import Topic, type_name

TIME_FORMAT = "%Y-%m-%d_%H-%M-%S"
EMPTYING_PERIOD = 0.05  # s between two looks at what has come


class RecorderNode(GraphNode):
    """Parameters, topics and lifecycle around a recording. Each activation begins a bag, each deactivation ends one.

    Messages are neither deserialised nor waited for. A full disk ends the recording and nothing else.

    Args:
        node_options: handed to ``rclpy.node.Node``.
    """

    def __init__(self, **node_options) -> None:
        super().__init__("recorder", **node_options)
        recorder_parameters.declare(self.parameters)
        self._writer: BagWriter | None = None
        self._recording: BagRecording | None = None
        self._inbox = Inbox(self)

    # --- lifecycle ---

    def configure(self) -> None:
        self._settings = recorder_parameters.read(self.parameters)
        self._about = self._provenance()
        self._contract = self.resolve_topic_name(topics.ROBOT_CONTRACT.name)
        self._ended = self.wake(self._on_end)
        self.repeat(EMPTYING_PERIOD, self._empty_inbox)

    def activate(self) -> None:
        self._convert, self._name_in_bag = {}, {}
        now = datetime.now().astimezone()
        folder = _unused(self._settings.bag or Path("bags", now.strftime(TIME_FORMAT)).resolve())
        about = self._about | {"started": now.isoformat(timespec="seconds")}
        self._writer = BagWriter(folder, self._settings.files, about, self._settings.compression)
        self._recording = BagRecording(self._writer, self._settings.capacity, self._convert, self._ended)
        for topic in graph_topics():
            self._record(topic)
        self.say(f"recording into {self._writer.folder}")

    def deactivate(self) -> None:
        self._empty_inbox()
        self._inbox.close()
        recording, self._recording = self._recording, None
        if recording is not None:
            state = recording.close()
            said = state.problem or f"{state.written} messages in {self._writer.folder}, {state.dropped} dropped"
            (self.complain if state.problem else self.say)(said)

    # --- topics ---

    def _record(self, topic: Topic, images: bool = False) -> None:
        """images: the topic carries camera images."""
        name, quality = self.resolve_topic_name(topic.name), self._settings.jpeg_quality
        kind = message_type(type_name(topic.type))
        if images and quality is not None:
            name, kind = name + SUFFIX, message_type(COMPRESSED)
            self._convert[name] = JpegEncoder(quality)
        self._writer.add_topic(name, kind, (offered_qos(topic),))
        self._name_in_bag[self.resolve_topic_name(topic.name)] = name
        self._inbox.add(topic)

    def _empty_inbox(self) -> None:
        for item in self._inbox.take():
            self._recording.put(
                SerializedMessage(self._name_in_bag[item.name], item.data, item.arrived, item.published)
            )
            if item.name == self._contract:
                self._on_contract(item.data)

    def _on_contract(self, data: bytes) -> None:
        """The robot is known: what its contract names is recorded too."""
        text = deserialize_message(data, String).data
        try:
            robot = contract_from_text(text, topics.ROBOT_CONTRACT.name)
        except ValueError as error:  # anybody may publish on the topic
            self.complain(f"robot_contract is not heeded: {error}")
            return
        self._writer.about["contract"] = text
        cameras = camera_topics(robot)
        for topic in robot_topics(robot):
            if self.resolve_topic_name(topic.name) not in self._inbox:
                self._record(topic, topic.name in cameras)

    # --- what is said ---

    def _provenance(self) -> dict[str, str]:
        """What the bag says of itself."""
        policy = self._settings.policy
        try:
            checkpoint = fingerprint(policy)
        except ValueError as error:  # it may be on another machine; the policy node judges
            self.warn(f"the bag will not name the checkpoint of policy {policy!r}: {error}")
            checkpoint = ""
        return {
            "commit": commit(),
            "versions": json.dumps(versions()),
            "policy": policy,
            "checkpoint": checkpoint,
            "namespace": self.get_namespace(),
            "arguments": self._settings.arguments,
            "parameters": self._settings.parameters,
        }

    def _on_end(self) -> None:
        if self._recording is not None:
            self.complain(self._recording.state.problem)
            self.publish_diagnostics()

    def diagnostics(self) -> list[DiagnosticStatus]:
        if self._recording is None:
            return []
        state = self._recording.state
        values = {
            "bag": self._writer.folder,
            "messages": state.written,
            "dropped": state.dropped,
            "waiting_bytes": state.waiting,
            **{f"dropped {name}": number for name, number in state.dropped_by_topic.items()},
        }
        return [diagnostic_status(self.get_fully_qualified_name(), "recording", *_judged(state), values)]


def _judged(state: RecordingState) -> tuple[str, bytes]:
    if state.problem:
        return state.problem, DiagnosticStatus.ERROR
    if state.dropped:
        return f"{state.dropped} messages were dropped", DiagnosticStatus.WARN
    return "ok", DiagnosticStatus.OK


def _unused(folder: Path) -> Path:
    """The folder, or the first of its name with a number behind that is not there yet."""
    names = (folder if number == 1 else folder.with_name(f"{folder.name}_{number}") for number in count(1))
    return next(path for path in names if not path.exists())


def main() -> int:
    return run_node(RecorderNode)


if __name__ == "__main__":
    raise SystemExit(main())

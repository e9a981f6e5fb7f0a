"""Bags of small runs, written without a graph: a policy's own session answers the requests of a toy world."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ActiveSubstep, ChunkReport, ChunkRequest, EpisodeStatus, Substep

from substep_bags.definitions import message_type
from substep_bags.recorded_topics import offered_qos
from substep_bags.writer import BagWriter
from substep_core.contract import LIBERO_PANDA, contract_to_text, load_robot
from substep_core.keys import IssuedSubstep, RequestKey, SubstepKey
from substep_core.ros import topics
from substep_core.ros.messages import chunk_to_message, image_to_message, to_time
from substep_core.ros.topics import type_name
from substep_policy.policy import Policy
from substep_policy.request_answering import RequestAnswering
from substep_policy.session.policy_session import StuckSettings
from substep_policy.session.request_matcher import Work

ROBOT = load_robot(LIBERO_PANDA)
TASK, PLAN = (
    "pick up the alphabet soup and place it in the basket",
    (
        ("pick up the alphabet soup", "the gripper holds the alphabet soup in the air"),
        ("place the alphabet soup in the basket", "the alphabet soup is in the basket"),
    ),
)
WALL = 1_700_000_000 * 10**9
MILLISECOND = 10**6


@dataclass
class RunWriter:
    """Writes a bag as a run of the graph would leave it.

    Attributes:
        namespace: of the graph.
        parameters: of its nodes, as the bag says them.
        left_out: names of topics that are not recorded.
        period: ns of wall time from one message to the next.
        repeats: how often a request, with what is seen, is said again before it is answered.
    """

    folder: Path
    namespace: str = ""
    parameters: dict = field(default_factory=dict)
    left_out: Sequence[str] = ()
    period: int = 10 * MILLISECOND
    repeats: int = 0
    stamp: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        self.writer = BagWriter(self.folder, about={"parameters": json.dumps(self.parameters), "commit": "abc"})
        self.wall = WALL

    def say(self, topic: topics.Topic, message: object) -> bytes:
        data = serialize_message(message)
        if topic.name not in self.left_out:
            name = topic.name if topic.name.startswith("/") else f"{self.namespace}/{topic.name}"
            self.writer.add_topic(name, message_type(type_name(topic.type)), (offered_qos(topic),))
            self.wall += self.period
            self.writer.write(name, data, self.wall, self.wall)
        return data

    def instant(self) -> dict[str, bytes]:
        """What the robot senses now; -> topic -> serialised message."""
        time = to_time(self.stamp)
        found = {}
        self.say(topics.CLOCK, Clock(clock=time))
        random = np.random.default_rng(self.stamp)  # an instant that is said again looks the same
        for camera in ROBOT.cameras:
            pixels = random.integers(0, 255, (camera.height, camera.width, 3), np.uint8)
            topic = topics.camera_image(camera.name)
            found[topic.name] = self.say(topic, image_to_message(pixels, time, camera.frame))
        names = [name for group in ROBOT.state for name in getattr(group.source, "names", ())]
        joints = JointState(name=names, position=[0.02] * len(names))
        pose = PoseStamped()
        pose.pose.position.z, pose.pose.orientation.w = 0.3 + 0.001 * self.step, 1.0
        for topic, message in ((topics.JOINT_STATES, joints), (topics.EEF_POSE, pose)):
            message.header.stamp = time
            found[topic.name] = self.say(topic, message)
        return found

    def status(self, episode: int = 1) -> None:
        message = EpisodeStatus(episode=episode, suite="libero_object", instruction=TASK, step=self.step)
        message.header.stamp = to_time(self.stamp)
        self.say(topics.EPISODE_STATUS, message)

    def begin(self, index: int, plan_id: str = "p", attempt: int = 0) -> IssuedSubstep:
        instruction = PLAN[index][0]
        message = ActiveSubstep(plan_id=plan_id, index=index, count=2, attempt=attempt, task=TASK)
        message.instruction, message.header.stamp = instruction, to_time(self.stamp)
        self.say(topics.ACTIVE_SUBSTEP, message)
        plan = [Substep(instruction=text, expected_effect=effect) for text, effect in PLAN]
        feedback = ExecuteTask.Feedback(plan_id=plan_id, plan_source="library:libero_object", plan=plan)
        self.say(topics.EXECUTE_TASK.feedback, ExecuteTask.Impl.FeedbackMessage(feedback=feedback))
        return IssuedSubstep(SubstepKey(plan_id, index, attempt), instruction, TASK)

    def play(
        self, answering: RequestAnswering, name: str, substep: IssuedSubstep, ends: bool, episode: int = 1
    ) -> None:
        """One request, its chunk, and the report that the chunk was played. ends: by EOS, says the report."""
        messages = self.instant()
        key = substep.key
        request = ChunkRequest(
            episode=episode, plan_id=key.plan_id, substep_index=key.index, attempt=key.attempt, held_action=[0.0] * 7
        )
        request.header.stamp = to_time(self.stamp)
        self.say(topics.CHUNK_REQUEST, request)
        for _ in range(self.repeats):
            self.instant(), self.say(topics.CHUNK_REQUEST, request)
        wanted = {topic: messages[topic] for topic in answering.topics}
        chunk = answering.chunk(Work(RequestKey(self.stamp, episode, key), request, wanted, substep))
        self.say(topics.ACTION_CHUNK, chunk_to_message(chunk, request, name, 0.01))
        for _ in chunk.actions:
            self.stamp, self.step = self.stamp + ROBOT.period_ns, self.step + 1
            self.instant()
            self.status(episode)
        report = ChunkReport(chunk_stamp=request.header.stamp, episode=episode, steps_played=len(chunk.actions))
        report.first_stamp, report.commands = request.header.stamp, chunk.actions.flatten().tolist()
        report.plan_id, report.substep_index, report.attempt = key.plan_id, key.index, key.attempt
        report.outcome = ChunkReport.PLAYED_EOS if ends else ChunkReport.PLAYED
        report.header.stamp = to_time(self.stamp)
        self.say(topics.CHUNK_REPORT, report)


def write_run(folder: Path, policy: Policy, chunks: int = 2, parameters: dict | None = None, **options) -> RunWriter:
    """A run of two substeps, each of ``chunks`` chunks, the last of which ends it."""
    writer = RunWriter(folder, parameters=parameters or {}, **options)
    writer.say(topics.ROBOT_CONTRACT, String(data=contract_to_text(ROBOT)))
    answering = RequestAnswering(policy, ROBOT, StuckSettings())
    writer.status()
    for index in range(len(PLAN)):
        substep = writer.begin(index)
        for number in range(chunks):
            writer.play(answering, policy.name, substep, ends=number == chunks - 1)
    writer.writer.close()
    return writer

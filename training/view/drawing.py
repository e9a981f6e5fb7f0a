"""Messages of a graph -> what is shown of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from substep_core.chunk import ChunkOutcome
from substep_core.contract import JointSource, PoseSource, RobotContract
from substep_core.keys import RequestKey
from substep_core.protocol import HoldKind
from substep_core.ros import topics
from substep_core.ros.messages import image_from_message, to_nanoseconds
from substep_core.ros.observation_messages import state_topics
from substep_core.ros.topics import Topic
from training.rerun.recorded import request_key
from training.view.entries import Entry, EventText, Numbers, Picture, Plot, Position, State

CAMERAS, PLACES, JOINTS, ACTIONS = "cameras", "places", "joints", "actions"
EOS, EOS_THRESHOLD, SIMILARITY = "eos/probability", "eos/threshold", "completion/similarity"
SUBSTEP, PLAYING, EVENTS, GUARD = "progress/substep", "progress/playing", "events/planner", "events/guard"
REFUSALS = "events/policy"
UNKNOWN = -1.0  # as messages say that there is no value
INFERENCE = ": inference"  # the policy's status on /diagnostics ends with that


class Drawing:
    """What a viewer is told of a graph's messages, in the order in which they come.

    Args:
        robot: its contract.
    """

    def __init__(self, robot: RobotContract) -> None:
        self.robot = robot
        self._threshold: float | None = None  # the policy's diagnostics tell it
        self._now = 0
        self._chunks: dict[RequestKey, Any] = {}
        self._substep = self._playing = ""
        self._draw: dict[str, Callable[[Any], Iterator[Entry]]] = {
            topics.CLOCK.name: self._clock,
            topics.ACTION_CHUNK.name: self._chunk,
            topics.CHUNK_REPORT.name: self._report,
            topics.CHUNK_REFUSAL.name: self._refusal,
            topics.ACTIVE_SUBSTEP.name: self._active_substep,
            topics.EPISODE_STATUS.name: self._status,
            topics.EXECUTE_TASK.feedback.name: self._feedback,
            topics.DIAGNOSTICS.name: self._diagnostics,
        }
        cameras = {topics.camera_image(name).name: name for name in robot.camera_names}
        self._camera_of = cameras
        self._poses = {topic.name for topic in state_topics(robot, PoseSource)}
        self._joints = {topic.name for topic in state_topics(robot, JointSource)}

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Those that are drawn."""
        fixed = (*topics.TOPICS, topics.EXECUTE_TASK.feedback)
        cameras = map(topics.camera_image, self.robot.camera_names)
        states = (*state_topics(self.robot, PoseSource), *state_topics(self.robot, JointSource))
        return (*cameras, *states, *(topic for topic in fixed if topic.name in self._draw))

    @property
    def plots(self) -> tuple[Plot, ...]:
        """Curves of everything that is numbers."""
        joints = tuple(
            Plot(f"{JOINTS}/{group.name}", group.source.names, group.unit)
            for group in self.robot.state
            if isinstance(group.source, JointSource)
        )
        actions = tuple(
            Plot(f"{ACTIONS}/{group.name}", _axes(group.name, group.width, group.joints), group.unit)
            for group in self.robot.action
        )
        eos = Plot(EOS, ("EOS probability",)), Plot(EOS_THRESHOLD, ("threshold",))
        return (*joints, *actions, *eos, Plot(SIMILARITY, ("similarity",)))

    def hear(self, topic: Topic, message: Any) -> Iterator[Entry]:
        """What a message of one of ``topics`` shows."""
        name = topic.name
        if name in self._draw:
            yield from self._draw[name](message)
            return
        self._now = to_nanoseconds(message.header.stamp)
        if name in self._camera_of:
            camera = self._camera_of[name]
            yield self._entry(f"{CAMERAS}/{camera}", Picture(image_from_message(message, camera)))
        elif name in self._poses:
            at = message.pose.position
            yield self._entry(f"{PLACES}/{name}", Position((at.x, at.y, at.z)))
        elif name in self._joints:
            yield from self._joint_state(name, message)

    # --- one message each ---

    def _joint_state(self, name: str, message: Any) -> Iterator[Entry]:
        position = dict(zip(message.name, message.position, strict=False))
        for group in self.robot.state:
            source = group.source
            if isinstance(source, JointSource) and source.topic == name and position.keys() >= set(source.names):
                yield self._entry(f"{JOINTS}/{group.name}", Numbers(tuple(position[joint] for joint in source.names)))

    def _clock(self, message: Any) -> Iterator[Entry]:
        self._now = to_nanoseconds(message.clock)
        yield from ()

    def _chunk(self, message: Any) -> Iterator[Entry]:
        """Kept until its report says how much of it was played."""
        self._chunks[request_key(message)] = message
        yield from ()

    def _report(self, message: Any) -> Iterator[Entry]:
        key = request_key(message, message.chunk_stamp)
        chunk = self._chunks.pop(key, None)
        self._chunks = {other: kept for other, kept in self._chunks.items() if other.stamp > key.stamp}
        stamp = to_nanoseconds(message.header.stamp)
        if message.outcome == ChunkOutcome.REJECTED:
            level = "ERROR" if message.latched else "WARN"
            yield Entry(GUARD, stamp, EventText(f"chunk rejected: {message.reason}", level))
        else:
            yield from self._played(message, chunk)

    def _played(self, report: Any, chunk: Any) -> Iterator[Entry]:
        """chunk: None where it was not heard."""
        first, stamp, width = report.first_action, to_nanoseconds(report.first_stamp), self.robot.action_width
        probabilities = () if chunk is None else chunk.eos_probabilities[first:]  # without an EOS head there are none
        for place in range(min(report.steps_played, len(report.commands) // width)):
            at = stamp + place * self.robot.period_ns
            command = report.commands[place * width : (place + 1) * width]
            for group in self.robot.action:
                values = tuple(value * group.scale for value in command[self.robot.action_slice(group)])
                yield Entry(f"{ACTIONS}/{group.name}", at, Numbers(values))
            if place < len(probabilities):
                yield Entry(EOS, at, Numbers((probabilities[place],)))
                if self._threshold is not None:
                    yield Entry(EOS_THRESHOLD, at, Numbers((self._threshold,)))

    def _refusal(self, message: Any) -> Iterator[Entry]:
        yield Entry(REFUSALS, to_nanoseconds(message.header.stamp), EventText(f"no chunk: {message.reason}", "WARN"))

    def _active_substep(self, message: Any) -> Iterator[Entry]:
        again = f" (attempt {message.attempt + 1})" if message.attempt else ""
        name = f"{message.index + 1} {message.instruction}{again}" if message.plan_id else ""
        if name != self._substep:  # it is repeated as a sign of life
            self._substep = name
            # Latched, so it may be the first message that is heard, before any that tells the time.
            stamp = to_nanoseconds(message.header.stamp)
            self._now = max(self._now, stamp)
            yield Entry(SUBSTEP, stamp, State(name or None))

    def _status(self, message: Any) -> Iterator[Entry]:
        self._now = to_nanoseconds(message.header.stamp)
        kind = HoldKind(message.hold_kind)
        name = "playing" if kind is HoldKind.NONE else kind.name.lower().replace("_", " ")
        if name != self._playing:
            self._playing = name
            yield self._entry(PLAYING, State(name))
            if kind is HoldKind.LATCHED:
                yield self._entry(GUARD, EventText(message.hold_reason, "ERROR"))

    def _feedback(self, message: Any) -> Iterator[Entry]:
        said = message.feedback
        if said.similarity != UNKNOWN:
            yield self._entry(SIMILARITY, Numbers((said.similarity,)))
        if said.event:
            yield self._entry(EVENTS, EventText(f"{said.event_text}: {said.substep_index + 1} {said.instruction}"))

    def _diagnostics(self, message: Any) -> Iterator[Entry]:
        for status in message.status:
            if status.name.endswith(INFERENCE):
                told = {item.key: item.value for item in status.values}
                if "eos_threshold" in told:
                    self._threshold = float(told["eos_threshold"])
        yield from ()

    def _entry(self, path: str, value: Any) -> Entry:
        return Entry(path, self._now, value)


def _axes(group: str, width: int, joints: tuple[str, ...]) -> tuple[str, ...]:
    """Names of a group's values."""
    if joints:
        return joints
    return tuple("xyz") if width == 3 else tuple(f"{group} {place}" if width > 1 else group for place in range(width))

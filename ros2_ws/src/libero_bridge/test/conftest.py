"""The bridge node in a graph of its own: a scripted planner and policy beside it."""

from __future__ import annotations

import faulthandler
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from substep_interfaces.msg import ActionChunk, ActiveSubstep, ChunkReport, ChunkRequest, EpisodeStatus
from substep_interfaces.srv import ResetEpisode

from substep_bridge.node import BridgeNode
from substep_core.chunk import Chunk
from substep_core.protocol import HoldKind
from substep_core.ros import topics
from substep_core.ros.messages import chunk_to_message

TIMEOUT = 60.0
NUMBERS = itertools.count()
HEARD = (
    topics.camera_image("agentview"),
    topics.camera_info("agentview"),
    topics.JOINT_STATES,
    topics.EEF_POSE,
    topics.TF,
    topics.TF_STATIC,
    topics.ROBOT_DESCRIPTION,
    topics.SCENE_STATE,
    topics.CLOCK,
    topics.EPISODE_STATUS,
    topics.CHUNK_REPORT,
    topics.DIAGNOSTICS,
)
PARAMETERS = {
    "world": "libero",
    "suite": "libero_object",
    "cameras": ["agentview"],
    "image_height": 32,
    "image_width": 48,
    "repeat_period": 0.2,
    "settle_steps": 2,
    "planner_silence": 600.0,  # the puppet speaks when it has something to say
}


class Puppet:
    """A planner and a policy that do what the test says, and a memory of all that the bridge published.

    Chunks come from a node of their own: it is no policy that looks at all images.
    """

    def __init__(self, node: rclpy.node.Node) -> None:
        self.node, self.policy = node, rclpy.create_node("policy", namespace=node.get_namespace())
        self.heard: dict[str, list] = {}
        self.answer: Callable[[ChunkRequest], ActionChunk | None] = lambda request: None
        self._changed = threading.Condition()
        for topic in HEARD:
            self._listen(topic)
        self._listen(topics.CHUNK_REQUEST, self._on_request)
        self.substeps = topics.ACTIVE_SUBSTEP.publisher(node)
        self.chunks = topics.ACTION_CHUNK.publisher(self.policy)
        self.resets = topics.RESET_EPISODE.client(node)
        self.transitions = node.create_client(ChangeState, "bridge/change_state")

    def close(self) -> None:
        self.policy.destroy_node()
        self.node.destroy_node()

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
        return bool(statuses) and (statuses[-1].episode, statuses[-1].hold_kind) == (
            episode,
            HoldKind.WAITING_FOR_A_SUBSTEP,
        )

    def reset(self, **fields) -> ResetEpisode.Response:
        assert self.resets.wait_for_service(TIMEOUT)
        future = self.resets.call_async(ResetEpisode.Request(**fields))
        self.wait_for(future.done)
        return future.result()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Looks again whenever a message came, and now and then, for a service's answer is none."""
        deadline = time.monotonic() + TIMEOUT
        with self._changed:
            while not condition():
                if time.monotonic() > deadline:
                    faulthandler.dump_traceback(sys.__stderr__)  # where the bridge's thread stands
                    raise AssertionError({name: len(messages) for name, messages in self.heard.items()})
                self._changed.wait(0.05)

    def of(self, topic: str) -> list:
        return self.heard.setdefault(topic, [])

    def reports(self) -> list[ChunkReport]:
        return self.of("chunk_report")

    def status(self) -> EpisodeStatus:
        return self.of("episode_status")[-1]

    @staticmethod
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

    def _listen(self, topic: topics.Topic, also: Callable = lambda message: None) -> None:
        def remember(message) -> None:
            self.of(topic.name).append(message)
            also(message)
            with self._changed:
                self._changed.notify_all()

        topic.subscription(self.node, remember)

    def _on_request(self, request: ChunkRequest) -> None:
        if (chunk := self.answer(request)) is not None:
            self.chunks.publish(chunk)


@contextmanager
def _spinning(*nodes: rclpy.node.Node) -> Iterator[None]:
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
def _unconfigured(**parameters) -> Iterator[Puppet]:
    overrides = [Parameter(name, value=value) for name, value in {**PARAMETERS, **parameters}.items()]
    namespace = f"test_{next(NUMBERS)}"  # several bridges live side by side
    bridge = BridgeNode(parameter_overrides=overrides, namespace=namespace)
    other = rclpy.create_node("puppet", namespace=namespace)
    puppet = Puppet(other)
    with _spinning(bridge, other):
        yield puppet
    bridge.destroy_node()
    puppet.close()


@contextmanager
def _running(**parameters) -> Iterator[Puppet]:
    with _unconfigured(**parameters) as puppet:
        assert puppet.change_state(Transition.TRANSITION_CONFIGURE)
        assert puppet.change_state(Transition.TRANSITION_ACTIVATE)
        yield puppet
        assert puppet.change_state(Transition.TRANSITION_DEACTIVATE)
        assert puppet.change_state(Transition.TRANSITION_CLEANUP)


@pytest.fixture
def unconfigured_bridge(ros) -> Callable[..., AbstractContextManager[Puppet]]:
    """``with unconfigured_bridge(parameter=…) as puppet``: a bridge that nobody configured."""
    return _unconfigured


@pytest.fixture
def running_bridge(ros) -> Callable[..., AbstractContextManager[Puppet]]:
    """The same, configured and active."""
    return _running


@pytest.fixture
def bridge_process(ros, tmp_path: Path) -> Iterator[tuple[Puppet, subprocess.Popen, Path]]:
    """An active bridge in a process of its own, and the file of what it says."""
    arguments = ["-r", "__ns:=/process", "-p", "world:=libero", "-p", "image_height:=32", "-p", "image_width:=32"]
    command = [sys.executable, "-m", "substep_bridge.node", "--ros-args", *arguments]
    node = rclpy.create_node("puppet", namespace="process")
    puppet, said = Puppet(node), tmp_path / "bridge.log"
    with said.open("w") as log, _spinning(node), subprocess.Popen(command, stderr=log) as process:
        try:
            assert puppet.change_state(Transition.TRANSITION_CONFIGURE)
            assert puppet.change_state(Transition.TRANSITION_ACTIVATE)
            yield puppet, process, said
        finally:
            process.kill()
    puppet.close()


@pytest.fixture(scope="module")
def lockstep(ros) -> Iterator[Puppet]:
    with _running() as puppet:
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

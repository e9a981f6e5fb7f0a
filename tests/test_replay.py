"""Today's nodes hear yesterday's bag, and live on when it begins again and time jumps back."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import MultiThreadedExecutor
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from substep_interfaces.msg import ActionChunk

from substep_bags.player_node import PlayerNode
from substep_bags.recorder_node import RecorderNode
from substep_bringup.lifecycle_manager import LifecycleManager
from substep_bringup.session.session_node import SessionNode
from substep_core.chunk import Chunk
from substep_core.registry import Registry
from substep_core.ros import topics
from substep_core.ros.messages import to_nanoseconds
from substep_planner.node import PlannerNode
from substep_policy.node import PolicyNode
from substep_policy.registry import PolicyRegistry
from tests.recorded_run import ROBOT, write_run

PATIENCE = 120.0  # s
KEPT_UP = ("recorder", "policy", "planner")  # by the lifecycle manager


class StandStill:
    """Four actions of no motion for whatever it sees."""

    name, device, dtype, requires_scene = "still", "cpu", "float32", False
    robot, cameras, horizon = ROBOT, ROBOT.camera_names, 4

    def __init__(self, settings=None) -> None: ...

    def start_substep(self, instruction: str, task: str) -> None: ...

    def predict(self, observation) -> Chunk:
        return Chunk(np.zeros((4, 7), np.float32))


STILL = PolicyRegistry(Registry("policy", "", {"still": StandStill}))


class Replay:
    """A bag that is played in a loop to nodes that go by simulated time, all in this process."""

    def __init__(self, folder, **told) -> None:
        write_run(folder / "bag", StandStill())
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        common = {"context": self.context}
        player = {"bag": str(folder / "bag"), "loop": True, "rate": 2.0, **told}
        recorder, session = {"bag": str(folder / "again")}, {"run_folder": str(folder / "run"), "video": False}
        self.nodes = {
            "policy": PolicyNode(STILL, **common, parameter_overrides=_parameters(policy="still")),
            "planner": PlannerNode(**common, parameter_overrides=_parameters()),
            "recorder": RecorderNode(**common, parameter_overrides=_parameters(**recorder)),
            "lifecycle_manager": LifecycleManager(**common, parameter_overrides=_parameters(nodes=list(KEPT_UP))),
            "session": SessionNode(**common, parameter_overrides=_parameters(**session)),
        }
        self.listener = rclpy.create_node("listener", context=self.context)
        self.times: list[int] = []
        self.chunks: list[ActionChunk] = []
        self.spoke: list[tuple[str, int]] = []  # who, when in world time
        self.listener.create_subscription(Clock, "/clock", self._hear_time, topics.CLOCK.with_depth(1000).qos)
        topics.ACTION_CHUNK.with_depth(1000).subscription(self.listener, self.chunks.append)
        topics.DIAGNOSTICS.with_depth(1000).subscription(self.listener, self._hear_status)
        self.executor = MultiThreadedExecutor(4, context=self.context)
        self.player = PlayerNode(**common, parameter_overrides=[Parameter(k, value=v) for k, v in player.items()])
        for node in (*self.nodes.values(), self.listener, self.player):
            self.executor.add_node(node)
        self.thread = threading.Thread(target=self.executor.spin)
        self.thread.start()

    def _hear_time(self, message: Clock) -> None:
        self.times.append(to_nanoseconds(message.clock))

    def _hear_status(self, message: DiagnosticArray) -> None:
        self.spoke += [(status.hardware_id, to_nanoseconds(message.header.stamp)) for status in message.status]

    @property
    def answered(self) -> set[tuple[int, int]]:
        """Substep and world time of the requests that today's policy has answered."""
        return {(chunk.substep_index, to_nanoseconds(chunk.header.stamp)) for chunk in list(self.chunks)}

    @property
    def jumps(self) -> int:
        """How often time has jumped back."""
        return sum(later < earlier for earlier, later in zip(self.times[:-1], self.times[1:], strict=True))

    def wait_for(self, is_so, what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < deadline and self.thread.is_alive(), f"{what} did not come: {self.times[-3:]}"
            time.sleep(0.02)

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join()
        for node in (self.player, *self.nodes.values(), self.listener):
            node.destroy_node()
        rclpy.shutdown(context=self.context)


def _parameters(**values) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in {"use_sim_time": True, **values}.items()]


@pytest.fixture
def replay(tmp_path):
    made = []

    def make(**told) -> Replay:
        made.append(Replay(tmp_path, **told))
        return made[-1]

    yield make
    for item in made:
        item.close()


def test_a_bag_drives_todays_policy_and_every_node_outlives_the_clock_jumping_back(replay):
    it = replay(exclude=["/action_chunk"])
    it.wait_for(lambda: all(it.nodes[name].is_active for name in KEPT_UP), "an active graph")
    it.wait_for(lambda: len(it.answered) == 4, "an answer to every recorded request")
    jumps = it.jumps
    it.wait_for(lambda: it.jumps >= jumps + 2, "the end of the bag, twice")
    it.chunks.clear(), it.spoke.clear()
    it.wait_for(lambda: len(it.answered) == 4, "an answer to each after the clock has jumped back")
    assert {chunk.model for chunk in it.chunks} == {"still"}
    speaking = {*KEPT_UP, "lifecycle_manager"}
    it.wait_for(lambda: speaking <= {who for who, _ in it.spoke}, f"a word of each of {speaking}")
    longest = max(it.times)
    assert all(0 <= when <= longest for _, when in it.spoke), "they go by the time of the bag"
    assert all(it.nodes[name].is_active for name in KEPT_UP)
    now = it.nodes["session"].get_clock().now().nanoseconds
    assert now <= longest and it.nodes["session"].tracker.status is not None

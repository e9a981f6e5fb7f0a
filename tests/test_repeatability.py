"""A lockstep run repeats bit for bit from its seed, in other processes too."""

from __future__ import annotations

import hashlib
import struct

import pytest

from substep_bringup.graph_config import GraphConfig
from substep_core.ros import topics
from tests.probe import Goal
from tests.running_graph import RunningGraph

pytestmark = pytest.mark.xdist_group("tasks")
STEPS = 60
TOPICS = (
    topics.camera_image("agentview"),
    topics.camera_image("eye_in_hand"),
    topics.JOINT_STATES,
    topics.EEF_POSE,
    topics.SCENE_STATE,
)


def digests_of_a_run(folder, seed: int, steps: int) -> dict[tuple[str, int], str]:
    """(topic, stamp in ns) -> digest of the message, of the first steps of a task in a world drawn from the seed.

    Of no steps the bridge alone gives the first messages.
    """
    config = GraphConfig(
        suite="libero_object", task=0, policy="demonstrator", image_size=(64, 64), placement="widened", seed=seed
    )
    graph = RunningGraph(folder, config, without=() if steps else ("policy", "planner"))
    try:
        recorded = {topic.name: graph.probe.record(topic, raw=True) for topic in TOPICS}
        graph.bring_up()
        goal = Goal(graph.probe, "") if steps else None
        graph.probe.wait(lambda: graph.probe.statuses and graph.probe.statuses[-1].step >= steps, f"{steps} steps")
        graph.probe.wait(lambda: all(recorded.values()), "a message of every topic")
        if goal:
            goal.cancel()
            goal.result()
    finally:
        graph.close()
    return {(topic, stamp(data)): digest(data) for topic, messages in recorded.items() for data in messages}


def stamp(data: bytes) -> int:
    """Of a serialized message that begins with a header."""
    seconds, nanoseconds = struct.unpack_from("<iI", data, 4)
    return seconds * 1_000_000_000 + nanoseconds


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_two_runs_of_one_seed_are_equal_to_the_bit_and_another_seed_differs(tmp_path_factory):
    one, same = (digests_of_a_run(tmp_path_factory.mktemp("run"), 5, STEPS) for _ in range(2))
    common = one.keys() & same.keys()
    for topic in TOPICS:
        assert sum(1 for which, _ in common if which == topic.name) > 0.9 * STEPS  # sensor data may get lost
    assert {key: one[key] for key in common} == {key: same[key] for key in common}
    other = digests_of_a_run(tmp_path_factory.mktemp("run"), 6, 0)
    assert any(one[key] != other[key] for key in one.keys() & other.keys())

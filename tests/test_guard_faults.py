"""Bad chunks on the running graph: dropped whole, with a reason, and the world does not feel them."""

from __future__ import annotations

import contextlib
import hashlib
import re

import numpy as np
import pytest
from substep_interfaces.action import ExecuteTask
from substep_interfaces.msg import ChunkReport

from substep_bringup.graph_config import GraphConfig
from substep_core.protocol import ChunkReason, HoldKind
from substep_core.ros import topics
from substep_core.ros.messages import to_nanoseconds
from tests.probe import Goal
from tests.running_graph import SMALL
from tests.stand_in_policy import STILL, StandInPolicy, chunk_for, reach

pytestmark = pytest.mark.xdist_group("guard")
SENTINEL = reach((0.2, 0.0, 0.1), steps=3)
CONTROL_PERIOD = 50_000_000  # ns


@pytest.fixture(scope="module")
def graph(start_graph):
    config = GraphConfig(suite="libero_object", task=0, policy="demonstrator", image_size=SMALL)
    graph = start_graph(config, without=("policy",)).bring_up()
    graph.policy = StandInPolicy(graph.probe)
    graph.joint_states = graph.probe.record(topics.JOINT_STATES)
    return graph


@contextlib.contextmanager
def task_under_way(graph, expected: int = ExecuteTask.Result.CANCELED):
    """A task in a fresh episode, its first request unanswered; it is cancelled at the end unless it has ended."""
    probe = graph.probe
    graph.policy.answer = lambda request: None
    probe.reset()
    goal = Goal(probe, "")
    probe.wait(lambda: probe.requests, "a chunk request")
    yield goal
    goal.cancel()
    assert goal.result().error_code == expected


@pytest.fixture
def task(graph):
    with task_under_way(graph):
        yield


@pytest.fixture(scope="module")
def undisturbed(graph):
    """Holding steps before the sentinel -> digest of the arm after it, when nothing bad was sent."""
    digests = {}
    for holds in (0, 1):
        with task_under_way(graph):
            if holds:
                play(graph, STILL)
            digests[holds] = play_sentinel(graph, steps=holds + len(SENTINEL))
    assert digests[0] != digests[1]
    return digests


def play(graph, actions: np.ndarray) -> int:
    """Answer one request and wait until that is played; stamp (ns) of the observation after it."""
    probe, sent = graph.probe, []

    def once(request):
        if sent:
            return None
        sent.append(request)
        return chunk_for(request, actions)

    graph.policy.answer = once
    probe.wait(lambda: sent and any(is_played(sent[0], item) for item in list(probe.reports)), "the chunk's report")
    return to_nanoseconds(sent[0].header.stamp) + len(actions) * CONTROL_PERIOD


def is_played(request, report) -> bool:
    return report.chunk_stamp == request.header.stamp and report.outcome == ChunkReport.PLAYED


def play_sentinel(graph, steps: int) -> str:
    """Play the sentinel and check that the episode has come to that many steps; a digest of the arm after it."""
    probe = graph.probe
    stamp = play(graph, SENTINEL)
    arm = probe.wait(lambda: at(graph.joint_states, stamp), "the arm's state after the sentinel")
    assert probe.wait(lambda: at(probe.statuses, stamp), "the status after the sentinel").step == steps
    return hashlib.sha256(np.array(arm.position).tobytes()).hexdigest()


def at(messages: list, stamp: int):
    return next((item for item in list(messages) if to_nanoseconds(item.header.stamp) == stamp), None)


def nan(chunk):
    chunk.actions[5] = float("nan")


def infinite(chunk):
    chunk.actions[5] = float("inf")


def six_values_an_action(chunk):
    chunk.action_dim, chunk.actions = 6, chunk.actions[:18]


def fewer_values_than_said(chunk):
    chunk.actions = chunk.actions[:-1]


def no_actions(chunk):
    chunk.horizon, chunk.actions = 0, []


def eos_outside(chunk):
    chunk.eos_index = 17


def too_fast(chunk):
    chunk.actions[0] = 1.5


def out_of_the_workspace(chunk):
    chunk.horizon, chunk.actions = 60, reach((0.0, 0.0, 1.0), 60).flatten().tolist()


def old_stamp(chunk):
    chunk.header.stamp.sec -= 10


def another_substep(chunk):
    chunk.substep_index += 1


def another_plan(chunk):
    chunk.plan_id = "somebody else's"


def another_attempt(chunk):
    chunk.attempt += 1


def another_episode(chunk):
    chunk.episode += 1


REJECTED = {
    nan: "not finite: value nan at action 0",
    infinite: "not finite: value inf at action 0",
    six_values_an_action: r"shape: \(3, 6\), expected \(horizon, 7\)",
    fewer_values_than_said: "shape: .*20 values, expected 21",
    no_actions: "shape: .*horizon >= 1",
    eos_outside: "shape: .*eos_index 17 does not fit",
    too_fast: "range: translation 1.500, expected -1 to 1",
    out_of_the_workspace: r"workspace: action \d+ leads to z = ",
}
SUPERSEDED = {
    another_substep: ChunkReason.STALE_SUBSTEP,
    another_plan: ChunkReason.STALE_SUBSTEP,
    another_attempt: ChunkReason.STALE_SUBSTEP,
    another_episode: ChunkReason.STALE_EPISODE,
    old_stamp: ChunkReason.NOT_ASKED_FOR,
}


def send_spoilt(graph, spoil) -> ChunkReport:
    """Answer the waiting request with a large motion, spoilt; the report on it."""
    probe = graph.probe
    chunk = chunk_for(probe.requests[-1], reach((-0.9, 0.9, 0.9), steps=3))
    spoil(chunk)
    probe.chunk_publisher.publish(chunk)
    return probe.wait(lambda: probe.reports[:1], "a report on the bad chunk")[0]


@pytest.mark.parametrize("spoil", REJECTED, ids=lambda spoil: spoil.__name__)
def test_a_bad_chunk_is_dropped_whole_and_explained(graph, undisturbed, task, spoil):
    probe = graph.probe
    report = send_spoilt(graph, spoil)
    assert (report.outcome, report.steps_played) == (ChunkReport.REJECTED, 0)
    assert re.search(REJECTED[spoil], report.reason)
    probe.wait(lambda: any(report.reason in text for text in probe.complaints()), "the reason in diagnostics")
    assert play_sentinel(graph, steps=1 + len(SENTINEL)) == undisturbed[1]  # it holds for a step, then asks anew


@pytest.mark.parametrize("spoil", SUPERSEDED, ids=lambda spoil: spoil.__name__)
def test_a_chunk_for_something_else_is_dropped_whole_and_explained(graph, undisturbed, task, spoil):
    report = send_spoilt(graph, spoil)
    assert (report.outcome, report.steps_played, report.reason_kind) == (ChunkReport.SUPERSEDED, 0, SUPERSEDED[spoil])
    assert play_sentinel(graph, steps=len(SENTINEL)) == undisturbed[0]


def test_repeated_failures_latch_the_guard_until_the_episode_is_reset(graph):
    probe = graph.probe
    with task_under_way(graph, expected=ExecuteTask.Result.GUARD_LATCHED) as goal:
        graph.policy.answer = lambda request: spoilt(chunk_for(request, SENTINEL), nan)
        assert re.search("the safety guard holds the arm: .*not finite: value nan", goal.result().message)
        probe.wait(lambda: probe.statuses[-1].hold_kind == HoldKind.LATCHED, "the latched hold")
        assert [report.latched for report in probe.reports] == [False, False, True]
    with task_under_way(graph):
        play(graph, SENTINEL)


def spoilt(chunk, spoil):
    spoil(chunk)
    return chunk

"""The bridge in realtime with a policy that takes its time, which is the world's own: no gap in what is played."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from substep_interfaces.msg import ChunkReport, ChunkRequest

from substep_core.protocol import HoldKind
from substep_core.ros import topics
from substep_core.ros.messages import to_nanoseconds

pytestmark = [pytest.mark.xdist_group("bridge_node")]
PERIOD = 50_000_000  # ns
REALTIME = {"clock": "realtime", "repeat_period": 60.0, "safety.max_age": 60.0}
CHUNK = 32  # actions: on a machine that has no time for it a thought may take eight times as long as it should
DELAY = 2  # control steps
STATED = 0.4  # s: answers reach the bridge some steps later than they are given
ROBOT_STEPS = 60


class Thinker:
    """A policy whose answers come when the world has gone on by ``DELAY`` steps."""

    def __init__(self, puppet, horizon: int = CHUNK) -> None:
        self.puppet, self.horizon = puppet, horizon
        self.waiting: list[ChunkRequest] = []
        self.asked: list[ChunkRequest] = []
        puppet.answer = self.hear
        self.subscription = topics.EPISODE_STATUS.subscription(puppet.node, self.look)

    def hear(self, request: ChunkRequest) -> None:
        self.asked.append(request)
        self.waiting.append(request)

    def look(self, status) -> None:
        now = to_nanoseconds(status.header.stamp)
        for request in list(self.waiting):
            if now >= to_nanoseconds(request.header.stamp) + DELAY * PERIOD:
                self.waiting.remove(request)
                self.puppet.chunks.publish(self.puppet.answering(self.horizon, value=0.0)(request))


def holds_under_way(puppet) -> list[HoldKind]:
    """Why the arm held, of every status between the first action and the newest one."""
    kinds = [status.hold_kind for status in puppet.of("episode_status")]
    first = kinds.index(HoldKind.NONE)
    return [kind for kind in kinds[first:] if kind != HoldKind.NONE]


def play(puppet, thinker: Thinker) -> None:
    puppet.wait_for(lambda: puppet.of("episode_status"))
    puppet.activate(1)
    puppet.wait_for(lambda: puppet.status().step >= ROBOT_STEPS and len(thinker.asked) >= 3)


@pytest.mark.parametrize("rule", ["replace", "blend", "ensemble", "real_time_chunking"])
def test_a_slow_policy_leaves_no_gap(running_bridge, rule):
    with running_bridge(**REALTIME, joining=rule, inference_time=STATED) as puppet:
        thinker = Thinker(puppet)
        play(puppet, thinker)
        assert holds_under_way(puppet) == []
        assert {report.outcome for report in puppet.reports()} == {ChunkReport.PLAYED}
        carries = [len(request.left_over) for request in thinker.asked[1:]]
        assert all(values % 7 == 0 and bool(values) is (rule == "real_time_chunking") for values in carries)


def test_in_turn_the_arm_waits_for_each_chunk(running_bridge):
    with running_bridge(**REALTIME, joining="in_turn") as puppet:
        play(puppet, Thinker(puppet, horizon=4))
        assert set(holds_under_way(puppet)) == {HoldKind.WAITING_FOR_A_CHUNK}


def test_chunks_too_short_for_what_inference_takes_are_told(running_bridge):
    with running_bridge(**REALTIME, joining="replace") as puppet:
        play(puppet, Thinker(puppet, horizon=3))
        told = "chunks of 3 actions hide 1 control steps"

        def worlds() -> list[DiagnosticStatus]:
            statuses = [status for array in puppet.of("/diagnostics") for status in array.status]
            return [status for status in statuses if status.level == DiagnosticStatus.WARN and told in status.message]

        puppet.wait_for(lambda: bool(worlds()))

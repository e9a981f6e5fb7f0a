"""What the lifecycle manager does with one node, told by a stand-in for it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from lifecycle_msgs.msg import State, Transition, TransitionEvent

from substep_bringup.kept_node import ANSWER, LOOK, KeptNode

UNCONFIGURED, INACTIVE, ACTIVE = (
    State.PRIMARY_STATE_UNCONFIGURED,
    State.PRIMARY_STATE_INACTIVE,
    State.PRIMARY_STATE_ACTIVE,
)
LEADS_TO = {Transition.TRANSITION_CONFIGURE: INACTIVE, Transition.TRANSITION_ACTIVATE: ACTIVE}


class FakeNode:
    """A lifecycle node that answers at once, and the one who keeps it. ``seconds`` pass between two ticks."""

    def __init__(self) -> None:
        self.name, self.state = "bridge", UNCONFIGURED
        self.there = self.willing = self.answering = self.may_activate = True
        self.asked: list[int] = []
        self.told: list[str] = []
        self.now = 0.0
        self.kept = KeptNode(self, lambda: self.may_activate, self.told.append, lambda: self.now)

    def is_there(self) -> bool:
        return self.there

    def ask_state(self) -> SimpleNamespace:
        return self._answer(current_state=SimpleNamespace(id=self.state))

    def request(self, transition: int) -> SimpleNamespace:
        self.asked.append(transition)
        if self.willing:
            self.state = LEADS_TO[transition]
        return self._answer(success=self.willing)

    def _answer(self, **content) -> SimpleNamespace:
        return SimpleNamespace(done=lambda: self.answering, result=lambda: SimpleNamespace(**content))

    def take_down(self, state: int, through: int) -> None:
        """As by `ros2 lifecycle set`."""
        self.state = state
        self.kept.hear(TransitionEvent(start_state=State(id=through), goal_state=State(id=state)))

    def run(self, seconds: float = 10.0) -> FakeNode:
        for _ in range(round(10 * seconds)):
            self.kept.tick()
            self.now += 0.1
        return self


def test_a_node_is_brought_up_and_told_of():
    node = FakeNode().run()
    assert node.kept.is_active and node.asked == [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE]
    assert node.told == ["bridge is active"]


def test_a_node_that_was_brought_up_by_others_is_left_as_it_is():
    node = FakeNode()
    node.state = ACTIVE
    assert node.run().kept.is_active and node.asked == []


def test_a_node_waits_inactive_for_those_before_it():
    node = FakeNode()
    node.may_activate = False
    assert not node.run().kept.is_active and node.state == INACTIVE
    node.may_activate = True
    assert node.run().kept.is_active


@pytest.mark.parametrize("is_missed", [False, True])
def test_a_node_whose_process_was_started_anew_is_brought_up_again(is_missed):
    node = FakeNode().run()
    if is_missed:
        node.there = False
        assert not node.run(LOOK).kept.is_active and node.told[-1] == "bridge is gone"
        node.there = True
    node.state = UNCONFIGURED
    assert node.run().kept.is_active and node.state == ACTIVE


def test_a_node_that_stops_answering_does_not_count_as_active():
    node = FakeNode().run()
    node.answering = False
    assert not node.run(2 * ANSWER).kept.is_active and node.told[-1] == "bridge does not answer"


@pytest.mark.parametrize(
    ("state", "through"),
    [
        (INACTIVE, State.TRANSITION_STATE_DEACTIVATING),
        (UNCONFIGURED, State.TRANSITION_STATE_CLEANINGUP),
        (State.PRIMARY_STATE_FINALIZED, State.TRANSITION_STATE_SHUTTINGDOWN),
    ],
)
def test_a_node_that_somebody_takes_down_stays_down_until_somebody_brings_it_up(state, through):
    node = FakeNode().run()
    asked = len(node.asked)
    node.take_down(state, through)
    assert not node.run(100.0).kept.is_active and (node.state, len(node.asked)) == (state, asked)
    assert "taken down by somebody" in node.told[-1]
    node.state = ACTIVE
    node.run()
    node.state = UNCONFIGURED  # and now its process is a new one
    assert node.run().kept.is_active


def test_a_refusal_is_told_and_asked_again_ever_more_seldom():
    node = FakeNode()
    node.willing = False
    node.run(600.0)
    assert 10 < len(node.asked) < 20 and "bridge refused to configure (its log says why)" in node.told[0]
    node.willing = True
    assert node.run(61.0).kept.is_active

"""What fingers with nothing between them lead to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from substep_core.chunk import ChunkOutcome
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.errors import ErrorCode
from substep_core.plan import Plan, Substep
from substep_core.protocol import Cause, TaskEvent
from substep_planner.decomposers.base import SourcedPlan
from substep_planner.manager.events import (
    Activate,
    ChunkPlayed,
    EpisodeProgress,
    Fingers,
    Finish,
    MakePlan,
    PlanMade,
    TaskFeedback,
)
from substep_planner.manager.grasp_watch import FingerLimits, GraspWatch
from substep_planner.manager.recovery import RecoveryLadder
from substep_planner.manager.settings import ManagerSettings
from substep_planner.manager.substep_manager import SubstepManager
from substep_planner.manager.switch_rules import Verdict, make_switch_rule

PICK = Substep("pick up the milk", "the milk is held")
PLACE = Substep("place the milk in the basket", "the milk is in the basket")
BY_EOS = (TaskEvent.ADVANCED, Cause.EOS)
CLOSE = Substep("close the drawer", "the drawer is closed")
HELD, EMPTY, OPEN = Fingers(1.0, 0.02), Fingers(1.0, 0.0015), Fingers(-1.0, 0.08)
PANDA = FingerLimits.of(load_robot(LIBERO_PANDA))
ONCE, NEVER_AGAIN = ManagerSettings(), ManagerSettings(recovery=RecoveryLadder(0, 0))


class Task:
    """A task whose chunks are played at once."""

    def __init__(self, *plan: Substep, settings: ManagerSettings = ONCE) -> None:
        start = EpisodeProgress(1, 0, success=False, done=False, instruction="tidy up")
        self._manager = SubstepManager(settings, make_switch_rule("eos"), "tidy up", "t", start, 0.0, PANDA)
        self.commands = self._manager.start(0.0)
        self.planned(*plan or (PICK, PLACE))

    def planned(self, *plan: Substep) -> None:
        answer = PlanMade(self.last(MakePlan), SourcedPlan(Plan("tidy up", plan), "rules"))
        self.commands += self._manager.handle(answer, 0.0)

    def played(self, *chunks: Fingers | None, eos: bool = False) -> Task:
        for fingers in chunks:
            outcome = ChunkOutcome.PLAYED_EOS if eos else ChunkOutcome.PLAYED
            self.heard(ChunkPlayed(self.active.key, outcome, 0, fingers=fingers))
        return self

    def heard(self, event: ChunkPlayed) -> None:
        self.commands += self._manager.handle(event, 0.0)

    def last(self, kind):
        return [command for command in self.commands if isinstance(command, kind)][-1]

    @property
    def active(self) -> Activate:
        return self.last(Activate)

    @property
    def finish(self) -> Finish:
        assert isinstance(self.commands[-1], Finish), self.commands[-1]
        return self.commands[-1]

    @property
    def feedback(self) -> TaskFeedback:
        """The newest that tells an event."""
        heard = [command for command in self.commands if isinstance(command, TaskFeedback)]
        return [item for item in heard if item.event is not TaskEvent.NONE][-1]

    @property
    def event(self) -> tuple[TaskEvent, Cause]:
        return self.feedback.event, self.feedback.cause.kind


def test_picking_up_that_ends_without_a_grasp_is_tried_again():
    task = Task().played(EMPTY, eos=True)
    assert task.event == (TaskEvent.RETRIED, Cause.NOTHING_GRASPED)
    assert task.feedback.event_text == "retried: nothing grasped: the fingers are 1.5 mm apart"
    assert (task.active.key.index, task.active.key.attempt, task.active.back_off) == (0, 1, True)
    task.played(HELD, eos=True)
    assert task.event == BY_EOS and task.active.substep == PLACE


def test_a_chunk_that_was_not_played_says_nothing():
    task = Task().played(HELD, eos=True)
    task.heard(ChunkPlayed(task.active.key, ChunkOutcome.REJECTED, 0, reason="too fast", fingers=EMPTY))
    assert task.event == (TaskEvent.CHUNK_REJECTED, Cause.GUARD)


def test_a_hand_that_is_about_to_open_may_still_hold():
    assert Task().played(Fingers(-1.0, 0.02), eos=True).event == BY_EOS


def test_closed_fingers_on_their_way_to_the_thing_are_no_miss():
    assert Task().played(EMPTY, HELD).event == (TaskEvent.STARTED, Cause.NONE)


def test_what_was_dropped_is_picked_up_again():
    task = Task().played(HELD, eos=True).played(HELD, EMPTY)
    assert task.event == (TaskEvent.RETRIED_FROM_PICK_UP, Cause.DROPPED)
    assert task.active.substep == PICK and task.active.back_off
    task.played(EMPTY, eos=True)  # the place's retry is used up, not that of picking up
    assert task.event == (TaskEvent.RETRIED, Cause.NOTHING_GRASPED)


def test_what_was_let_go_is_not_dropped():
    task = Task().played(HELD, eos=True).played(OPEN, EMPTY).played(EMPTY, eos=True)
    assert task.finish.code is ErrorCode.NONE


def test_placing_is_not_over_before_the_hand_opens():
    task = Task().played(HELD, eos=True)
    for attempt in (1, 2):
        task.played(Fingers(1.0, 0.02), eos=True)
        assert task.event == (TaskEvent.REISSUED, Cause.NOT_LET_GO)
        assert (task.active.key.index, task.active.key.attempt, task.active.back_off) == (1, attempt, False)
    task.played(Fingers(-1.0, 0.021), eos=True)  # only just
    assert task.feedback.event_text == "reissued: not let go: the fingers are 21.0 mm apart"
    assert task.played(Fingers(-1.0, 0.03), eos=True).finish.code is ErrorCode.NONE


@pytest.mark.parametrize(
    "then",
    [(Fingers(-1.0, 0.03),), (OPEN, Fingers(1.0, 0.01)), (Fingers(-1.0, 0.021), Fingers(-1.0, 0.021))],
    ids=["opened", "opened and closing again", "told to open, and as wide as it goes"],
)
def test_a_hand_that_has_opened_has_placed(then):
    task = Task().played(HELD, eos=True).played(*then[:-1])
    assert task.played(then[-1], eos=True).finish.code is ErrorCode.NONE


def test_a_hand_that_never_closed_need_not_open():
    assert Task().played(OPEN, OPEN, eos=True).finish.code is ErrorCode.NONE


def test_what_is_not_to_be_let_go_may_end_in_the_hand():
    pour = Substep("pour the milk into the bowl", "there is milk in the bowl")
    assert Task(PICK, pour, PLACE).played(HELD, HELD, eos=True).active.substep == PLACE


def test_without_retries_the_rest_is_planned_again_then_the_task_ends():
    task = Task(settings=ManagerSettings(recovery=RecoveryLadder(0, 1))).played(HELD, eos=True).played(EMPTY)
    request = task.last(MakePlan)
    assert request.done == () and "dropped" in request.failure and PLACE.instruction in request.failure
    task.planned(PICK, PLACE)
    assert task.active.back_off
    task.played(EMPTY, eos=True)
    assert task.finish.code is ErrorCode.GRASP_LOST
    assert task.finish.message == "substep 0 ('pick up the milk'): nothing grasped: the fingers are 1.5 mm apart"


@pytest.mark.parametrize("fingers", [None, EMPTY, OPEN])
def test_fingers_that_nobody_measures_or_heeds_stop_nothing(fingers):
    settings = NEVER_AGAIN if fingers is None else ManagerSettings(recovery=RecoveryLadder(0, 0), empty_width=0.0)
    assert Task(settings=settings).played(fingers, fingers, eos=True).finish.code is ErrorCode.NONE


def test_fingers_of_a_robot_that_does_not_measure_them_stop_nothing():
    panda = load_robot(LIBERO_PANDA)
    assert FingerLimits.of(panda) == FingerLimits(0.0022, 0.005)
    blind = replace(panda, state=tuple(replace(group, opening=()) for group in panda.state))
    assert FingerLimits.of(blind) == FingerLimits(0.0, 0.0)


@pytest.mark.parametrize("plan", [(PICK,), (CLOSE,), (CLOSE, CLOSE), (PICK, PICK)])
def test_only_what_is_to_be_used_must_be_held(plan):
    """A plan that is a whole task in one substep also begins with "pick up", and ends with an open gripper."""
    task = Task(*plan, settings=NEVER_AGAIN).played(*(EMPTY, OPEN)[: len(plan)], eos=True)
    assert task.finish.code is ErrorCode.NONE


@given(st.floats(-1, 1), st.floats(0.003, 0.2), st.booleans())
def test_fingers_apart_are_never_a_dropped_thing(command, width, is_end):
    watch = GraspWatch(FingerLimits(0.003, 0.005))
    watch.begin((PICK,), (PLACE,))
    assert watch.verdict(Fingers(command, width), is_end).verdict is not Verdict.RETRY


@pytest.mark.parametrize("width", [-0.001, float("nan")])
def test_a_width_that_is_none_is_refused(width):
    with pytest.raises(ValueError, match="empty_width is .* expected 0 or more"):
        ManagerSettings(empty_width=width)

"""When chunks are asked for, played, dropped and reported."""

from __future__ import annotations

import numpy as np
import pytest

from substep_bridge.chunk_player import REST_TIME, ChunkAnswer, ChunkPlayer
from substep_bridge.guard import GuardSettings, SafetyGuard
from substep_bridge.moment import RobotMoment
from substep_core.chunk import Chunk, ChunkOutcome
from substep_core.contract import load_robot
from substep_core.episode import EpisodeEnd
from substep_core.keys import RequestKey, SubstepKey
from substep_core.protocol import ChunkReason, HoldKind, Reason

FIRST, SECOND = SubstepKey("plan", 0, 0), SubstepKey("plan", 1, 0)
HERE = np.array([0.0, 0.0, 0.3])
ROBOT = load_robot("libero_panda")
PERIOD = ROBOT.period_ns
REST_STEPS = round(REST_TIME * ROBOT.rate)
PROPRIO = np.array([0, 0, 0, np.pi, 0, 0, 0.04, -0.04], np.float32)  # upright
JOINTS = {limit.name: (limit.low + limit.high) / 2 for limit in ROBOT.joint_limits}

UPRIGHT = RobotMoment(0, PROPRIO, HERE, JOINTS)


class World:
    """A lockstep world without a world: a clock, a player, and the reports that came out."""

    def __init__(self, **settings) -> None:
        self.player = ChunkPlayer(ROBOT, SafetyGuard(ROBOT, GuardSettings(max_age=0.0, **settings)))
        self.now, self.here = PERIOD, HERE
        self.reports = self.player.reset(1, self.moment)

    @property
    def moment(self) -> RobotMoment:
        return RobotMoment(self.now, PROPRIO, self.here, JOINTS)

    def ask(self) -> RequestKey:
        assert self.player.wants_request
        return self.player.request()

    def answer(self, request: RequestKey, actions=None, eos: bool = False, malformed: str = "") -> None:
        actions = np.zeros((4, 7), np.float32) if actions is None else np.asarray(actions)
        chunk = None if malformed else Chunk(actions, eos_index=len(actions) - 1 if eos else -1)
        self.reports += self.player.receive(ChunkAnswer(request, chunk, malformed=malformed))

    def play(self, steps: int = 100, over: EpisodeEnd | None = None) -> int:
        played = 0
        while self.player.may_step and played < steps:
            assert self.player.step_counts, "lockstep takes no step that does not count"
            self.step(over)
            played += 1
        return played

    def step(self, over: EpisodeEnd | None = None) -> np.ndarray:
        """One control step, as the clock has it that waits for nobody; what the robot was told."""
        action = self.player.next_action()
        self.now += PERIOD
        self.reports += self.player.after_step(self.moment, over)
        return action

    @property
    def outcomes(self) -> list[ChunkOutcome]:
        return [report.outcome for report in self.reports]


@pytest.fixture
def world() -> World:
    world = World()
    world.player.activate(FIRST)
    return world


def test_nothing_is_asked_for_without_a_substep():
    world = World()
    assert world.player.hold.kind is HoldKind.WAITING_FOR_A_SUBSTEP
    assert not world.player.wants_request
    with pytest.raises(RuntimeError, match="waiting for a substep"):
        world.player.request()


def test_a_chunk_is_played_reported_and_followed_by_a_request_for_the_next(world):
    world.answer(world.ask())
    assert world.player.hold.kind is HoldKind.NONE and not world.player.wants_request
    assert world.play() == 4
    assert world.outcomes == [ChunkOutcome.PLAYED]
    assert world.reports[0].steps_played == 4
    assert world.ask().stamp == 5 * PERIOD


def test_after_eos_nothing_is_asked_for_until_another_substep_is_active(world):
    world.answer(world.ask(), eos=True)
    world.play()
    assert world.outcomes == [ChunkOutcome.PLAYED_EOS]
    assert not world.player.wants_request and world.player.hold.kind is HoldKind.WAITING_FOR_THE_NEXT_SUBSTEP
    world.player.activate(FIRST)
    assert not world.player.wants_request
    world.player.activate(SECOND)
    assert world.ask().substep == SECOND


def test_the_same_substep_issued_again_is_another_one(world):
    world.answer(world.ask(), eos=True)
    world.play()
    world.player.activate(SubstepKey("plan", 0, 1))
    assert world.player.wants_request


def test_another_substep_drops_the_rest_of_the_chunk(world):
    world.answer(world.ask())
    world.play(steps=1)
    world.reports += world.player.activate(SECOND)
    assert world.outcomes == [ChunkOutcome.SUPERSEDED]
    assert world.reports[0].steps_played == 1 and world.reports[0].reason.kind is ChunkReason.SUBSTEP_CHANGED
    assert world.player.wants_request


def test_a_late_answer_to_the_last_substep_is_not_played(world):
    late = world.ask()
    world.player.activate(SECOND)
    world.answer(late)
    assert world.outcomes == [ChunkOutcome.SUPERSEDED] and world.reports[0].reason.kind is ChunkReason.STALE_SUBSTEP
    assert not world.player.may_step and world.player.guard.latched is None


def test_an_answer_from_before_a_reset_is_not_played(world):
    late = world.ask()
    world.player.reset(2, world.moment)
    world.answer(late)
    assert world.outcomes == [ChunkOutcome.SUPERSEDED] and world.reports[0].reason.kind is ChunkReason.STALE_EPISODE
    assert world.ask().episode == 2


def test_a_reset_drops_what_is_being_played_and_releases_the_guard():
    world = World(max_failures=1)
    world.player.activate(FIRST)
    world.answer(world.ask(), np.full((1, 7), np.nan))
    assert world.player.hold.kind is HoldKind.LATCHED and world.reports[-1].latched
    world.reports += world.player.reset(2, world.moment)
    world.answer(world.ask())
    world.play(steps=2)
    world.reports += world.player.reset(3, world.moment)
    assert world.outcomes == [ChunkOutcome.REJECTED, ChunkOutcome.SUPERSEDED]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"actions": np.full((2, 7), np.nan)}, ChunkReason.NOT_FINITE),
        ({"actions": np.zeros((2, 6))}, ChunkReason.SHAPE),
        ({"malformed": "chunk has 3 values"}, ChunkReason.SHAPE),
        ({"actions": np.full((1, 7), 2.0)}, ChunkReason.RANGE),
    ],
)
def test_a_bad_chunk_is_dropped_whole_and_the_policy_gets_a_fresh_observation(world, bad, reason):
    first = world.ask()
    world.answer(first, **bad)
    assert world.outcomes == [ChunkOutcome.REJECTED] and world.reports[0].reason.kind is reason
    assert world.reports[0].steps_played == 0
    assert not world.player.wants_request
    assert world.play() == 1
    assert world.ask().stamp == first.stamp + PERIOD


@pytest.mark.parametrize("bad", [False, True])
@pytest.mark.parametrize("shift", [-PERIOD, -1, 1, PERIOD])
def test_chunks_that_answer_no_open_request_count_for_nothing(shift, bad):
    world = World(max_failures=1)
    world.player.activate(FIRST)
    request = world.ask()
    for _ in range(3):
        stray = RequestKey(request.stamp + shift, request.episode, request.substep)
        world.answer(stray, np.full((1, 7), np.nan) if bad else None)
    assert {(report.outcome, report.reason.kind) for report in world.reports} == {
        (ChunkOutcome.SUPERSEDED, ChunkReason.NOT_ASKED_FOR)
    }
    assert world.player.guard.latched is None
    assert world.player.outstanding == request and not world.player.may_step
    world.answer(request)
    assert world.player.may_step


def test_a_chunk_that_comes_too_late_is_dropped(world):
    request = world.ask()
    world.step()  # the world goes on while the policy is thinking
    world.answer(request)
    assert world.outcomes == [ChunkOutcome.REJECTED] and world.reports[0].reason.kind is ChunkReason.AGE


def test_time_that_jumps_back_costs_the_chunk_that_was_awaited_and_no_more():
    """A robot that goes by /clock while a bag begins anew; its bridge does not wait for the old time to come again."""
    world = World(max_failures=2)
    world.player.activate(FIRST)
    early = world.now
    world.answer(world.ask())
    world.play()
    late = world.ask()
    world.now = early - PERIOD
    world.step()
    world.answer(late)
    assert world.outcomes == [ChunkOutcome.PLAYED, ChunkOutcome.REJECTED]
    assert world.reports[1].reason.kind is ChunkReason.AGE and not world.reports[1].latched
    world.now = early - PERIOD
    assert world.play() == 1, "a step for a fresh observation"
    again = world.ask()
    assert again.stamp == early, "an instant that a chunk has answered before"
    world.answer(again, eos=True)
    world.play()
    assert world.outcomes[2:] == [ChunkOutcome.PLAYED_EOS]


def test_repeated_failures_latch_until_reset():
    world = World(max_failures=2)
    world.player.activate(FIRST)
    for _ in range(2):
        world.answer(world.ask(), np.full((1, 7), np.inf))
        world.play()
    assert [report.latched for report in world.reports] == [False, True]
    assert not world.player.wants_request and not world.player.may_step
    world.player.activate(SECOND)
    assert not world.player.wants_request


def test_the_same_answer_twice_is_played_once(world):
    request = world.ask()
    world.answer(request)
    world.play(steps=2)
    world.answer(request)
    world.play()
    world.answer(request)
    assert world.outcomes == [ChunkOutcome.PLAYED]


def test_the_end_of_the_episode_drops_the_rest(world):
    world.answer(world.ask())
    world.play(steps=2, over=EpisodeEnd.SUCCESS)
    assert world.outcomes == [ChunkOutcome.SUPERSEDED]
    assert world.player.hold.text == "episode over: success" and not world.player.wants_request


def test_an_episode_whose_goal_has_come_true_goes_on_with_another_task(world):
    world.answer(world.ask())
    world.play(steps=2, over=EpisodeEnd.SUCCESS)
    for key in (SECOND, SubstepKey("plan.1", 0, 0), None):
        world.player.activate(key)
        assert world.player.over is EpisodeEnd.SUCCESS and not world.player.is_under_task, "it is the same task"
    world.player.activate(SubstepKey("next", 0, 0))
    assert world.player.over is None and world.player.is_under_task
    world.answer(world.ask())
    assert world.play() == 4


def test_an_episode_that_is_out_of_time_is_over_for_every_task(world):
    world.answer(world.ask())
    world.play(steps=2, over=EpisodeEnd.HORIZON)
    world.player.activate(SubstepKey("next", 0, 0))
    assert world.player.over is EpisodeEnd.HORIZON and not world.player.wants_request


def test_steps_are_under_a_task_from_its_first_substep_until_the_world_is_at_rest(world):
    assert world.player.is_under_task
    world.player.activate(None, plan_done=True)
    assert world.player.is_under_task
    world.play()
    assert not world.player.is_under_task


def test_a_step_counts_where_lockstep_would_take_it_whatever_the_clock(world):
    counted = []

    def step(steps: int = 1) -> None:
        for _ in range(steps):
            counted.append(world.player.step_counts)
            world.step()

    request = world.ask()
    step(2)
    world.answer(request, np.full((4, 7), np.nan))
    step(2)
    assert counted == [False, False, True, False], "the hold after a rejected chunk stands for the chunk"
    world.answer(world.ask(), eos=True)
    step(6)
    assert counted[4:] == [True] * 4 + [False] * 2, "then the planner's word is waited for"
    world.player.hinder(Reason(HoldKind.ROBOT_HALTED))
    world.player.activate(SECOND)
    step(2)
    world.player.activate(None, plan_done=True)
    step(REST_STEPS + 1)
    assert counted[10:] == [False] * 2 + [True] * REST_STEPS + [False]


def test_nothing_is_awaited_any_more_when_the_episode_ends(world):
    world.ask()
    world.step(over=EpisodeEnd.HORIZON)  # realtime: the world goes on while the policy is thinking
    assert world.player.outstanding is None


def test_without_a_substep_any_more_the_arm_holds(world):
    world.answer(world.ask())
    world.play(steps=1)
    world.reports += world.player.activate(None)
    assert world.outcomes == [ChunkOutcome.SUPERSEDED] and not world.player.may_step
    assert not world.step()[:6].any()


def test_after_the_last_substep_the_world_comes_to_rest(world):
    world.answer(world.ask(), eos=True)
    assert world.play() == 4
    world.player.activate(None, plan_done=True)
    assert world.player.hold.kind is HoldKind.COMING_TO_REST
    assert world.play(3) == 3
    assert world.play() == REST_STEPS - 3
    assert world.player.hold.kind is HoldKind.WAITING_FOR_A_SUBSTEP


@pytest.mark.parametrize(
    "what_comes",
    [lambda player: player.activate(SECOND), lambda player: player.reset(2, UPRIGHT)],
)
def test_another_substep_or_a_reset_needs_no_rest(world, what_comes):
    world.player.activate(None, plan_done=True)
    what_comes(world.player)
    assert world.play() == 0


def test_an_episode_that_is_over_needs_no_rest(world):
    world.player.activate(None, plan_done=True)
    assert world.play(over=EpisodeEnd.SUCCESS) == 1


def test_a_substep_that_was_broken_off_leaves_the_world_as_it_is(world):
    world.answer(world.ask(), eos=True)
    world.play()
    world.player.activate(None)
    assert world.play() == 0


OUTSIDE = np.array([0.0, 0.7, 0.3])


def test_an_arm_that_leaves_the_workspace_holds_at_once_and_until_the_next_reset(world):
    world.answer(world.ask(), np.full((4, 7), 0.5, np.float32))
    world.step()
    world.here = OUTSIDE
    world.step()
    (report,) = world.reports
    assert (report.outcome, report.reason.kind) == (ChunkOutcome.SUPERSEDED, ChunkReason.WORKSPACE)
    assert report.latched and report.steps_played == 2
    assert not world.step()[:6].any(), "it holds"
    world.here = HERE
    world.step()
    assert world.player.hold.text == "latched: workspace: the end effector is at y = 0.700 m, expected -0.650 to 0.650"
    assert not world.player.wants_request
    world.player.reset(2, world.moment)
    assert world.player.wants_request


def test_an_arm_that_is_outside_when_the_episode_begins_holds(world):
    world.here = OUTSIDE
    world.player.reset(2, world.moment)
    assert world.player.hold.kind is HoldKind.LATCHED and not world.player.wants_request


def test_an_arm_that_cannot_be_measured_holds(world):
    world.answer(world.ask())
    world.step()
    world.reports += world.player.lose_sight("state group 'eef_position' is not finite")
    assert world.reports[0].reason.kind is ChunkReason.NOT_FINITE and world.reports[0].latched
    assert world.player.hold.kind is HoldKind.LATCHED and not world.player.may_step


def test_a_robot_that_is_not_ready_drops_what_is_played_and_asks_for_nothing_until_it_is(world):
    world.answer(world.ask())
    world.step()
    blind = Reason(HoldKind.OBSERVATION_LOST, "camera front: 0.4 s old")
    world.reports += world.player.hinder(blind)
    assert (world.reports[0].outcome, world.reports[0].steps_played) == (ChunkOutcome.SUPERSEDED, 1)
    assert world.reports[0].reason.text == "robot not ready: observation lost: camera front: 0.4 s old"
    assert world.player.hold is blind and not world.player.wants_request and not world.step()[:6].any()
    world.reports += world.player.hinder(Reason(HoldKind.NONE))
    assert world.player.wants_request and len(world.reports) == 1


def test_an_answer_to_what_was_asked_before_the_robot_was_not_ready_is_not_played(world):
    asked = world.ask()
    world.player.hinder(Reason(HoldKind.ROBOT_DISABLED))
    world.player.hinder(Reason(HoldKind.NONE))
    world.answer(asked)
    assert world.reports[0].reason.kind is ChunkReason.NOT_ASKED_FOR and world.player.wants_request


def test_what_is_being_played_is_dropped_when_the_guard_latches():
    """Realtime: while a long chunk is played, others come in that are refused."""
    world = World(max_failures=2)
    world.player.activate(FIRST)
    requests = [world.ask()]
    for _ in range(2):  # the policy is slow: it is asked again, about what is seen by then
        world.step()
        requests.append(world.player.request())
    world.answer(requests[-1], np.full((8, 7), 0.5, np.float32))
    assert world.step()[0] == 0.5
    for request in requests[:2]:
        world.answer(request, np.full((1, 7), np.nan))
    assert world.player.guard.latched
    assert [report.outcome for report in world.reports[-2:]] == [ChunkOutcome.REJECTED, ChunkOutcome.SUPERSEDED]
    assert world.reports[-1].reason.kind is ChunkReason.LATCHED and world.reports[-1].steps_played == 1
    assert not world.step()[:6].any(), "it holds"


def test_a_planner_that_gives_no_sign_of_life_leaves_the_arm_holding_until_it_speaks_again(world):
    world.answer(world.ask())
    world.step()
    world.reports += world.player.lose_planner()
    assert world.reports[0].reason.kind is ChunkReason.PLANNER_SILENT and world.reports[0].steps_played == 1
    assert world.player.hold.text == "planner silent"
    assert not world.player.wants_request and not world.player.may_step
    world.player.activate(FIRST)
    assert world.player.wants_request

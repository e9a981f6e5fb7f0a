"""When chunks are asked for, played, dropped and reported."""

from __future__ import annotations

import numpy as np
import pytest

from libero_bridge.chunk_player import REST_STEPS, Answer, ChunkPlayer, Outcome
from libero_bridge.safety import SafetyGuard, SafetyLimits
from substep_policy.chunk import Chunk
from substep_policy.request_desk import RequestKey, SubstepKey

FIRST, SECOND = SubstepKey("plan", 0, 0), SubstepKey("plan", 1, 0)
HERE = np.array([0.0, 0.0, 0.3])
PERIOD = 50_000_000


class World:
    """A lockstep world without a world: a clock, a player, and the reports that came out."""

    def __init__(self, **limits) -> None:
        self.player = ChunkPlayer(SafetyGuard(SafetyLimits(max_age=0.0, **limits)))
        self.now = PERIOD
        self.reports = self.player.reset(1)

    def ask(self) -> RequestKey:
        assert self.player.wants_request
        return self.player.request(self.now)

    def answer(self, request: RequestKey, actions=None, eos: bool = False, malformed: str = "") -> None:
        actions = np.zeros((4, 7), np.float32) if actions is None else np.asarray(actions)
        chunk = None if malformed else Chunk(actions, eos_index=len(actions) - 1 if eos else -1)
        answer = Answer(request, chunk, malformed=malformed)
        self.reports += self.player.receive(answer, self.now, HERE)

    def play(self, steps: int = 100, over: str = "") -> int:
        played = 0
        while self.player.may_step and played < steps:
            self.player.next_action()
            self.now += PERIOD
            played += 1
            self.reports += self.player.after_step(over)
        return played

    @property
    def outcomes(self) -> list[Outcome]:
        return [report.outcome for report in self.reports]


@pytest.fixture
def world() -> World:
    world = World()
    world.player.activate(FIRST)
    return world


def test_nothing_is_asked_for_without_a_substep():
    world = World()
    assert world.player.hold_reason == "waiting for a substep"
    assert not world.player.wants_request
    with pytest.raises(RuntimeError, match="waiting for a substep"):
        world.player.request(world.now)


def test_a_chunk_is_played_reported_and_followed_by_a_request_for_the_next(world):
    world.answer(world.ask())
    assert world.player.hold_reason == "" and not world.player.wants_request
    assert world.play() == 4
    assert world.outcomes == [Outcome.PLAYED]
    assert world.reports[0].steps_played == 4
    assert world.ask().stamp == 5 * PERIOD


def test_after_eos_nothing_is_asked_for_until_another_substep_is_active(world):
    world.answer(world.ask(), eos=True)
    world.play()
    assert world.outcomes == [Outcome.PLAYED_EOS]
    assert not world.player.wants_request and world.player.hold_reason == "waiting for the next substep"
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
    assert world.outcomes == [Outcome.SUPERSEDED]
    assert world.reports[0].steps_played == 1 and "another substep" in world.reports[0].reason
    assert world.player.wants_request


def test_a_late_answer_to_the_last_substep_is_not_played(world):
    late = world.ask()
    world.player.activate(SECOND)
    world.answer(late)
    assert world.outcomes == [Outcome.SUPERSEDED] and "substep" in world.reports[0].reason
    assert not world.player.may_step and world.player.guard.latched == ""


def test_an_answer_from_before_a_reset_is_not_played(world):
    late = world.ask()
    world.player.reset(2)
    world.answer(late)
    assert world.outcomes == [Outcome.SUPERSEDED] and "episode" in world.reports[0].reason
    assert world.ask().episode == 2


def test_a_reset_drops_what_is_being_played_and_releases_the_guard():
    world = World(max_failures=1)
    world.player.activate(FIRST)
    world.answer(world.ask(), np.full((1, 7), np.nan))
    assert world.player.hold_reason.startswith("latched:") and world.reports[-1].latched
    world.reports += world.player.reset(2)
    world.answer(world.ask())
    world.play(steps=2)
    world.reports += world.player.reset(3)
    assert world.outcomes == [Outcome.REJECTED, Outcome.SUPERSEDED]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"actions": np.full((2, 7), np.nan)}, "finite"),
        ({"actions": np.zeros((2, 6))}, "shape"),
        ({"malformed": "chunk has 3 values"}, "shape: chunk has 3 values"),
        ({"actions": np.full((1, 7), 2.0)}, "speed"),
    ],
)
def test_a_bad_chunk_is_dropped_whole_and_the_policy_gets_a_fresh_observation(world, bad, words):
    first = world.ask()
    world.answer(first, **bad)
    assert world.outcomes == [Outcome.REJECTED] and words in world.reports[0].reason
    assert world.reports[0].steps_played == 0
    assert not world.player.wants_request
    assert world.play() == 1
    assert world.ask().stamp == first.stamp + PERIOD


def test_a_chunk_about_an_old_observation_is_dropped_and_the_right_one_is_still_awaited(world):
    request = world.ask()
    world.answer(RequestKey(request.stamp - PERIOD, request.episode, request.substep))
    assert world.outcomes == [Outcome.REJECTED] and "age" in world.reports[0].reason
    assert world.player.outstanding == request and not world.player.may_step
    world.answer(request)
    assert world.player.may_step


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
    assert world.outcomes == [Outcome.PLAYED]


def test_the_end_of_the_episode_drops_the_rest(world):
    world.answer(world.ask())
    world.play(steps=2, over="success")
    assert world.outcomes == [Outcome.SUPERSEDED]
    assert world.player.hold_reason == "episode over: success" and not world.player.wants_request


def test_nothing_is_awaited_any_more_when_the_episode_ends(world):
    world.ask()
    world.player.next_action()  # realtime: the world goes on while the policy is thinking
    world.player.after_step("horizon reached")
    assert world.player.outstanding is None


def test_without_a_substep_any_more_the_arm_holds(world):
    world.answer(world.ask())
    world.play(steps=1)
    world.reports += world.player.activate(None)
    assert world.outcomes == [Outcome.SUPERSEDED] and not world.player.may_step
    assert not world.player.next_action()[:6].any()


def test_after_the_last_substep_the_world_comes_to_rest(world):
    world.answer(world.ask(), eos=True)
    assert world.play() == 4
    world.player.activate(None, plan_done=True)
    assert world.player.hold_reason == "coming to rest"
    assert world.play(3) == 3
    assert world.play() == REST_STEPS - 3
    assert world.player.hold_reason == "waiting for a substep"


@pytest.mark.parametrize("what_comes", [lambda player: player.activate(SECOND), lambda player: player.reset(2)])
def test_another_substep_or_a_reset_needs_no_rest(world, what_comes):
    world.player.activate(None, plan_done=True)
    what_comes(world.player)
    assert world.play() == 0


def test_an_episode_that_is_over_needs_no_rest(world):
    world.player.activate(None, plan_done=True)
    assert world.play(over="success") == 1


def test_a_substep_that_was_broken_off_leaves_the_world_as_it_is(world):
    world.answer(world.ask(), eos=True)
    world.play()
    world.player.activate(None)
    assert world.play() == 0

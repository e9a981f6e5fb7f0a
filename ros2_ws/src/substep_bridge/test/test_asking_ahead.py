"""Chunks that take their time: a player in a world that goes on, with a policy that answers some steps later."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from substep_bridge.answer import ChunkAnswer
from substep_bridge.chunk_player import ChunkPlayer
from substep_bridge.guard import GuardSettings, SafetyGuard
from substep_bridge.joining import JOINING_RULES, JoiningSettings, load_joining
from substep_bridge.moment import RobotMoment
from substep_core.chunk import Chunk, ChunkOutcome
from substep_core.contract import load_robot
from substep_core.keys import RequestKey, SubstepKey
from substep_core.protocol import ChunkReason, HoldKind

ROBOT = load_robot("libero_panda")
PERIOD = ROBOT.period_ns
PROPRIO = np.array([0, 0, 0, np.pi, 0, 0, 0.04, -0.04], np.float32)
JOINTS = {limit.name: (limit.low + limit.high) / 2 for limit in ROBOT.joint_limits}
HERE = np.array([0.0, 0.0, 0.3])
FIRST, SECOND = SubstepKey("plan", 0, 0), SubstepKey("plan", 1, 0)
ALL_RULES = pytest.mark.parametrize("rule", JOINING_RULES.names)
AHEAD = pytest.mark.parametrize("rule", [name for name in JOINING_RULES.names if name != "in_turn"])
END = 40  # step at which a substep's motion is done
SCALE = 1e-3  # of an action that says which step it is for


@dataclass
class World:
    """A control step at a time, whether there is a chunk or not. A chunk's action says which step it is meant for.

    Attributes:
        delays: steps until the answer to each request.
        late: steps by which what is seen is older than now.
        played: of each step, what the robot was told.
        counted: steps that count for the substep and the episode.
        told: stamp at which a step of a chunk began -> (A,) the same.
    """

    rule: str
    delays: Sequence[int]
    horizon: int = 8
    end: int = 10**6
    options: dict = field(default_factory=dict)
    late: int = 0

    def __post_init__(self) -> None:
        joining = load_joining(self.rule, JoiningSettings(**self.options))
        self.player = ChunkPlayer(ROBOT, SafetyGuard(ROBOT, GuardSettings(max_age=10.0)), joining)
        self.step, self.moved, self.played, self.holds = 0, 0, [], []
        self.counted = 0
        self.told: dict[int, np.ndarray] = {}
        self.reports = self.player.reset(1, self.moment)
        self.reports += self.player.activate(FIRST)
        self.flying: list[tuple[int, ChunkAnswer]] = []
        self.requests: list[RequestKey] = []
        self.answers = 0
        self.ask()

    @property
    def moment(self) -> RobotMoment:
        stamp = PERIOD * (1 + self.step)
        return RobotMoment(stamp, PROPRIO, HERE, JOINTS, stamp + PERIOD * self.late)

    def chunk(self) -> Chunk:
        """From where the robot is seen: numbered by how far it has moved, cut where the substep's motion ends."""
        seen = max(0, self.moved - self.late)
        places = np.arange(seen, min(seen + self.horizon, self.end + 1))
        places = places if len(places) else np.array([self.end])
        actions = np.zeros((len(places), ROBOT.action_width), np.float32)
        actions[:, 0], actions[:, 6] = places * SCALE, -1.0
        return Chunk(actions, eos_index=len(places) - 1 if places[-1] == self.end else -1)

    def ask(self) -> None:
        if self.player.wants_request:
            self.requests.append(self.player.request())
            delay = self.delays[self.answers % len(self.delays)]
            self.answers += 1
            self.flying.append((self.step + delay, ChunkAnswer(self.requests[-1], self.chunk())))
            self.deliver()

    def deliver(self) -> None:
        come = [answer for at, answer in self.flying if at <= self.step]
        self.flying = [(at, answer) for at, answer in self.flying if at > self.step]
        for answer in come:
            self.reports += self.player.receive(answer)

    def advance(self, steps: int = 1) -> None:
        for _ in range(steps):
            is_playing = self.player.playing is not None
            self.holds.append(self.player.hold.kind)
            self.counted += self.player.step_counts
            action = self.player.next_action()
            if is_playing:
                self.told[self.moment.stamp] = action
            self.played.append(int(round(action[0] / SCALE)) if is_playing else None)
            self.step += 1
            self.moved += is_playing
            self.reports += self.player.after_step(self.moment)
            self.deliver()
            self.ask()
            self.deliver()

    @property
    def outcomes(self) -> list[ChunkOutcome]:
        return [report.outcome for report in self.reports]

    @property
    def gaps(self) -> int:
        """Steps in which the robot held, after it had first moved and until the substep ended."""
        moved = [step for step, place in enumerate(self.played) if place is not None]
        return self.played[moved[0] : moved[-1]].count(None)


@AHEAD
@pytest.mark.parametrize(("horizon", "delay"), [(8, 1), (8, 2), (8, 3), (8, 4), (16, 6), (16, 8), (32, 16)])
def test_a_chunk_of_twice_the_delay_leaves_no_gap(rule, horizon, delay):
    world = World(rule, [delay], horizon)
    world.advance(100)
    assert world.gaps == 0 and world.player.shortfall == ""
    assert world.played[delay:] == list(range(100 - delay)), "each action in its own step, none twice"
    assert set(world.outcomes) == {ChunkOutcome.PLAYED}


@AHEAD
@pytest.mark.parametrize(("horizon", "delay"), [(8, 5), (8, 6), (8, 16), (16, 16), (1, 3)])
def test_a_shorter_chunk_stands_still_as_often_as_is_said(rule, horizon, delay):
    world = World(rule, [delay], horizon)
    world.advance(60 * delay)
    share = 1 - horizon / (2 * delay) if horizon > delay else delay / (horizon + delay)
    assert world.gaps / (60 * delay) == pytest.approx(share, abs=0.03)
    assert f"stands still {share:.0%}" in world.player.shortfall
    moved = [place for place in world.played if place is not None]
    assert moved == list(range(len(moved))), "the motion goes on where it stopped"


@ALL_RULES
@pytest.mark.parametrize("delay", [0, 2, 3])
def test_reports_say_which_actions_of_which_chunk_were_played_in_which_step(rule, delay):
    world = World(rule, [delay], end=END)
    world.advance(END + 30)
    said = {}
    for report in world.reports:
        part = report.part
        said |= {part.stamp + place * PERIOD: command for place, command in enumerate(part.commands)}
        if rule in ("in_turn", "replace", "real_time_chunking"):  # the others mix chunks
            own = report.answer.chunk.actions[part.first : part.first + report.steps_played]
            assert np.array_equal(part.commands, own)
    assert said.keys() == world.told.keys() and len(said) == END + 1
    assert all(np.array_equal(said[stamp], told) for stamp, told in world.told.items())
    assert {report.part.first for report in world.reports[1:] if report.steps_played} == {
        delay if world.player.joining.rule.asks_ahead else 0
    }


def test_in_turn_the_robot_waits_for_each_chunk():
    world = World("in_turn", [3])
    world.advance(110)
    assert world.gaps / 110 == pytest.approx(3 / 11, abs=0.03)


@AHEAD
def test_the_time_that_is_known_beforehand_spares_the_first_gap(rule):
    """The first answer comes at once, from a cache; the next ones take as long as was said."""
    delays = [0, *[3] * 50]
    blind, told = World(rule, delays), World(rule, delays, options={"inference_time": 0.15})
    for world in (blind, told):
        world.advance(60)
    assert blind.gaps == 3 and told.gaps == 0


@ALL_RULES
def test_answers_that_take_no_time_are_played_in_turn_whatever_the_rule(rule):
    """As in lockstep: each chunk to its end, the next one about what is seen after it."""
    world = World(rule, [0])
    world.advance(80)
    assert [request.stamp for request in world.requests] == [PERIOD * (1 + 8 * k) for k in range(11)]
    assert [report.steps_played for report in world.reports] == [8] * 10
    assert world.gaps == 0


@ALL_RULES
def test_the_first_actions_of_a_chunk_are_played_and_then_the_next_is_asked_for(rule):
    world = World(rule, [0], options={"actions_per_chunk": 3})
    world.advance(30)
    assert [request.stamp for request in world.requests] == [PERIOD * (1 + 3 * k) for k in range(11)]
    assert world.played == list(range(30))


def test_actions_beyond_the_first_ones_bridge_a_late_answer():
    world = World("replace", [2, 2, 2, 5, 2, 2], options={"actions_per_chunk": 4})
    world.advance(60)
    assert world.gaps == 0


@ALL_RULES
@pytest.mark.parametrize("delay", [0, 1, 2, 3, 4, 7])
@pytest.mark.parametrize("end", [END, END + 1, END + 5])
def test_a_substep_ends_once_and_at_its_own_step(rule, delay, end):
    world = World(rule, [delay], end=end)
    world.advance(100)
    assert world.outcomes.count(ChunkOutcome.PLAYED_EOS) == 1 and world.outcomes[-1] is ChunkOutcome.PLAYED_EOS
    moved = [place for place in world.played if place is not None]
    assert moved == list(range(end + 1))
    assert world.holds[-1] is HoldKind.WAITING_FOR_THE_NEXT_SUBSTEP


def answer_to(request: RequestKey, places: Sequence[int], eos: bool = False) -> ChunkAnswer:
    actions = np.zeros((len(places), ROBOT.action_width), np.float32)
    actions[:, 0], actions[:, 6] = np.array(places) * SCALE, -1.0
    return ChunkAnswer(request, Chunk(actions, eos_index=len(places) - 1 if eos else -1))


def two_requests(rule: str) -> tuple[World, RequestKey]:
    """A world that plays 0, 1, 2, … of its first chunk and has asked for the next one, unanswered, two steps ago."""
    world = World(rule, [2, *[10**6] * 10])
    world.advance(2)
    while len(world.requests) < 2:
        world.advance()
    world.advance(2)
    return world, world.requests[1]


@AHEAD
def test_an_end_that_has_passed_ends_the_substep_at_once(rule):
    world, request = two_requests(rule)
    world.reports += world.player.receive(answer_to(request, [0, 1], eos=True))
    assert [report.outcome for report in world.reports[-2:]] == [ChunkOutcome.PLAYED, ChunkOutcome.PLAYED_EOS]
    assert world.reports[-1].steps_played == 0
    assert world.player.hold.kind is HoldKind.WAITING_FOR_THE_NEXT_SUBSTEP and not world.player.wants_request
    world.advance(20)
    assert world.outcomes.count(ChunkOutcome.PLAYED_EOS) == 1


@AHEAD
def test_a_chunk_whose_time_has_passed_changes_nothing(rule):
    world, request = two_requests(rule)
    before = world.player.playing
    world.reports += world.player.receive(answer_to(request, [0]))
    assert world.reports[-1].outcome is ChunkOutcome.SUPERSEDED
    assert world.reports[-1].reason.kind is ChunkReason.PASSED
    assert world.player.playing == before


@AHEAD
def test_an_older_chunk_that_comes_later_is_not_played(rule):
    world, older = two_requests(rule)
    newer = world.player.request()
    for request, places in ((newer, range(100, 108)), (older, range(200, 208))):
        world.reports += world.player.receive(answer_to(request, places))
    assert world.reports[-1].reason.kind is ChunkReason.NEWER_CHUNK and world.reports[-1].steps_played == 0
    world.advance(3)
    assert not {place for place in world.played if place is not None} & set(range(196, 208))


@AHEAD
def test_a_chunk_of_another_substep_is_never_joined(rule):
    world, late = two_requests(rule)
    world.reports += world.player.activate(SECOND)
    world.reports += world.player.receive(answer_to(late, range(300, 308)))
    assert world.reports[-1].reason.kind is ChunkReason.STALE_SUBSTEP
    request = world.player.request()
    world.reports += world.player.receive(answer_to(request, range(100, 108)))
    world.advance(4)
    assert world.played[-4:] == [100, 101, 102, 103], "nothing of the last substep is mixed in"


@AHEAD
def test_a_rejected_chunk_leaves_the_last_one_playing(rule):
    world, request = two_requests(rule)
    left = world.player.playing
    world.reports += world.player.receive(answer_to(request, [np.nan] * 8))
    assert world.reports[-1].outcome is ChunkOutcome.REJECTED and world.player.playing == left
    assert not world.player.wants_request, "it is asked again about what is seen after the next step"
    world.advance()
    assert world.player.outstanding is not None


@AHEAD
def test_what_is_left_of_the_last_chunk_travels_with_the_request_where_it_is_needed(rule):
    world = World(rule, [2], options={"overlap": 3})
    world.advance(30)
    left = world.player.left_over
    if rule == "real_time_chunking":
        assert world.player.answer_delay == 2
        chunk, index = world.player.playing
        np.testing.assert_array_equal(left, chunk.actions[index:])
    else:
        assert left.shape == (0, ROBOT.action_width)


@pytest.mark.parametrize("late", [1, 2, 3])
def test_what_is_left_begins_where_the_chunk_about_a_late_observation_does(late):
    """Drawn to what is played from now on, a chunk would leave out what has been played since it was seen."""
    world = World("real_time_chunking", [2], 16, late=late, options={"overlap": 4})
    world.advance(40)
    left = np.round(world.player.left_over[:, 0] / SCALE).astype(int)
    np.testing.assert_array_equal(left, np.arange(len(left)) + world.moved - late)
    np.testing.assert_array_equal(left[:late], world.played[-late:])
    played = [place for place in world.played if place is not None]
    assert played == list(range(len(played))), "each action once"


def test_time_that_jumps_back_does_not_make_a_chunk_pass():
    world, request = two_requests("replace")
    world.reports += world.player.receive(answer_to(request, range(8)))
    world.step = 0
    world.reports += world.player.after_step(world.moment)
    world.reports += world.player.activate(SECOND)
    world.reports += world.player.receive(answer_to(world.player.request(), range(100, 108)))
    world.advance(8)
    assert world.played[-8:] == list(range(100, 108))


@settings(max_examples=60, deadline=None)
@given(
    rule=st.sampled_from(JOINING_RULES.names),
    delays=st.lists(st.integers(0, 12), min_size=1, max_size=6),
    horizon=st.integers(1, 16),
    end=st.integers(0, 40),
    wanted=st.integers(0, 16),
    overlap=st.integers(-1, 8),
)
def test_whatever_the_delays_every_step_of_the_motion_is_played_once_and_the_substep_ends_once(
    rule, delays, horizon, end, wanted, overlap
):
    options = {"actions_per_chunk": wanted, "overlap": overlap}
    world = World(rule, delays, horizon, end, options)
    world.advance((end + 2) * 14)
    assert [place for place in world.played if place is not None] == list(range(end + 1))
    assert world.outcomes.count(ChunkOutcome.PLAYED_EOS) == 1
    assert sum(report.steps_played for report in world.reports) == end + 1
    assert world.counted == end + 1, "waiting costs a substep nothing"


class Disorder:
    """Answers that come late, twice, in another order, of another substep or not at all."""

    def __init__(self, rule: str, draw: Callable) -> None:
        self.world, self.draw = World(rule, [10**6]), draw
        self.player = self.world.player
        self.keys = (SubstepKey("plan", index, 0) for index in itertools.count(1))
        self.ended: list[SubstepKey] = []
        self.active = FIRST

    def hear(self, reports) -> None:
        for report in reports:
            if report.outcome is ChunkOutcome.PLAYED_EOS:
                assert report.answer.request.substep == self.active
                self.ended.append(self.active)

    def go_on(self) -> None:
        world, player = self.world, self.player
        event = self.draw(st.sampled_from(["step", "step", "step", "answer", "answer", "ask", "substep"]))
        if event == "answer" and world.requests:
            request = self.draw(st.sampled_from(world.requests[-4:]))
            length, eos = self.draw(st.integers(1, 10)), self.draw(st.booleans())
            places = range(request.substep.index * 20, request.substep.index * 20 + length)
            self.hear(player.receive(answer_to(request, [place % 100 for place in places], eos)))
        elif event == "ask" and player.hold.kind is HoldKind.WAITING_FOR_A_CHUNK:
            world.requests.append(player.request())
        elif event == "substep" and self.draw(st.booleans()):
            self.active = next(self.keys)
            self.hear(player.activate(self.active))
        self.step()

    def step(self) -> None:
        world, player = self.world, self.player
        playing = player.playing
        if playing is not None:
            assert player._playing.answer.request.substep == self.active
        world.played.append(player.next_action()[0])
        world.step += 1
        self.hear(player.after_step(world.moment))
        if player.wants_request:
            world.requests.append(player.request())


@settings(max_examples=80, deadline=None)
@given(rule=st.sampled_from(JOINING_RULES.names), data=st.data())
def test_late_doubled_and_reordered_answers_end_no_substep_twice_and_no_other(rule, data):
    disorder = Disorder(rule, data.draw)
    for _ in range(40):
        disorder.go_on()
    assert len(disorder.ended) == len(set(disorder.ended))
    assert disorder.player.guard.latched is None

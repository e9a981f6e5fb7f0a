"""A robot whose sensors take time: what has passed of a chunk is told by the clock, not by what was seen last."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from substep_bridge.answer import ChunkAnswer
from substep_bridge.chunk_player import ChunkPlayer
from substep_bridge.guard import GuardSettings, SafetyGuard
from substep_bridge.joining import JoiningSettings, load_joining
from substep_bridge.moment import RobotMoment
from substep_core.chunk import Chunk
from substep_core.contract import load_robot
from substep_core.keys import SubstepKey
from substep_core.protocol import HoldKind, Reason

ROBOT = load_robot("libero_panda")
PERIOD = ROBOT.period_ns
PROPRIO = np.array([0, 0, 0, np.pi, 0, 0, 0.04, -0.04], np.float32)
JOINTS = {limit.name: (limit.low + limit.high) / 2 for limit in ROBOT.joint_limits}
SCALE = 1e-3  # of an action that says which step it is for
HORIZON = 8


def moment(step: int, late: int) -> RobotMoment:
    """Seen before control step ``step``, when it is ``late`` steps old."""
    return RobotMoment(PERIOD * (100 + step - late), PROPRIO, np.array([0.0, 0.0, 0.3]), JOINTS, PERIOD * (100 + step))


def chunk(first: int) -> Chunk:
    actions = np.zeros((HORIZON, ROBOT.action_width), np.float32)
    actions[:, 0], actions[:, 6] = np.arange(first, first + HORIZON) * SCALE, -1.0
    return Chunk(actions)


@pytest.mark.parametrize("late", [0, 1, 2])
def test_actions_whose_steps_passed_while_sensors_were_late_are_not_played_again(late):
    joining = load_joining("replace", JoiningSettings(inference_time=2 * PERIOD / 1e9))
    player = ChunkPlayer(ROBOT, SafetyGuard(ROBOT, GuardSettings(max_age=1.0)), joining)
    player.reset(1, moment(0, 0))
    player.activate(SubstepKey("plan", 0, 0))
    player.receive(ChunkAnswer(player.request(), chunk(0)))
    played = []
    for step in range(4 * HORIZON):
        played.append(round(float(player.next_action()[0]) / SCALE))
        player.after_step(moment(step + 1, late))
        if player.wants_request:
            player.receive(
                ChunkAnswer(player.request(), chunk(step + 1 - late))
            )  # it is about where the robot was then
    assert played == list(range(4 * HORIZON))


@pytest.mark.parametrize("late", [1, 2])
def test_a_robot_that_is_measured_right_after_its_command_is_asked_for_the_time_of_the_next_one(late):
    """A robot's command returns at once, so that what is measured after it is of before the step and not behind it."""
    joining = load_joining("replace", JoiningSettings(inference_time=2 * PERIOD / 1e9))
    player = ChunkPlayer(ROBOT, SafetyGuard(ROBOT, GuardSettings(max_age=1.0)), joining)
    player.reset(1, moment(0, 0))
    player.activate(SubstepKey("plan", 0, 0))
    player.receive(ChunkAnswer(player.request(), chunk(0)))
    played = []
    for step in range(4 * HORIZON):
        now = PERIOD * (100 + step)
        played.append(round(float(player.next_action(now)[0]) / SCALE))
        player.after_step(moment(step, late))
        if player.wants_request:
            player.receive(ChunkAnswer(player.request(), chunk(step - late)), now)
    assert played == list(range(4 * HORIZON))


@pytest.mark.parametrize("late", [0, 1, 2])
def test_in_turn_a_chunk_is_asked_for_about_where_the_last_one_has_brought_the_robot(late):
    """Late sensors still show it on its way there when the last action has been sent."""
    player = ChunkPlayer(ROBOT, SafetyGuard(ROBOT, GuardSettings(max_age=1.0)))
    player.reset(1, moment(0, 0))
    player.activate(SubstepKey("plan", 0, 0))
    player.receive(ChunkAnswer(player.request(), chunk(0)))
    played, seen, moved_at = [], [], []  # moved_at: step at which each action was played
    for step in range(4 * HORIZON):
        now = PERIOD * (100 + step)
        if player.playing is not None:
            played.append(round(float(player.next_action(now)[0]) / SCALE))
            moved_at.append(step)
        else:
            player.next_action(now)
        player.after_step(moment(step + 1, late))
        if player.wants_request:
            request = player.request()
            seen.append(request.stamp // PERIOD - 100)
            player.receive(ChunkAnswer(request, chunk(len(played))), now + PERIOD)
    assert played == list(range(len(played))) and len(seen) >= 2
    ends = [moved_at[number] + 1 for number in range(HORIZON - 1, len(moved_at), HORIZON)]
    assert seen[: len(ends)] == ends[: len(seen)], "seen when the step of the last action was over"
    starts = [moved_at[number] for number in range(HORIZON, len(moved_at), HORIZON)]
    assert all(start - end == late for start, end in zip(starts, ends, strict=False)), "it stands still meanwhile"


def waiting_player() -> ChunkPlayer:
    """It has played a chunk in turn whose last step began at step HORIZON - 1, seen as it was then."""
    player = ChunkPlayer(ROBOT, SafetyGuard(ROBOT, GuardSettings(max_age=1.0)))
    player.reset(1, moment(0, 0))
    player.activate(SubstepKey("plan", 0, 0))
    player.receive(ChunkAnswer(player.request(), chunk(0)))
    for step in range(HORIZON):
        player.next_action(PERIOD * (100 + step))
        player.after_step(moment(step, 0))
    assert not player.wants_request
    return player


def seen(at: float, now: float) -> RobotMoment:
    """at, now: control steps."""
    return replace(moment(0, 0), stamp=round(PERIOD * (100 + at)), now=round(PERIOD * (100 + now)))


def test_steps_and_sensors_that_jitter_do_not_cost_a_whole_step_more():
    player = waiting_player()
    player.after_step(seen(HORIZON - 0.1, HORIZON))
    assert player.wants_request


def test_a_clock_that_is_set_back_does_not_keep_a_robot_waiting():
    player = waiting_player()
    player.next_action(PERIOD * (100 + HORIZON))
    player.after_step(seen(HORIZON - 50, HORIZON - 50))
    assert player.wants_request


def test_an_action_that_was_played_while_the_clock_was_an_hour_ahead_does_not_keep_a_robot_waiting():
    """Sensors have said nothing by that time, so that their stamps do not go back when the clock does."""
    player = waiting_player()
    player.after_step(seen(HORIZON, HORIZON))
    player.receive(ChunkAnswer(player.request(), chunk(HORIZON)))
    for step in range(HORIZON, 2 * HORIZON):
        hour = 72_000 if step == 2 * HORIZON - 1 else 0
        player.next_action(PERIOD * (100 + step + hour))
        player.after_step(seen(step + 1, step + 1))
    assert player.wants_request


@pytest.mark.parametrize("ahead", [0.5, 1.0])
def test_sensors_whose_stamps_are_ahead_of_the_clock_are_asked_about(ahead):
    player = waiting_player()
    player.next_action(PERIOD * (100 + HORIZON))
    player.after_step(seen(HORIZON + ahead, HORIZON))
    assert player.wants_request


def test_sensors_that_fall_ever_further_behind_keep_a_robot_waiting_only_until_they_show_it_at_rest():
    player, steps = waiting_player(), 0
    while not player.wants_request:
        steps += 1
        player.next_action(PERIOD * (100 + HORIZON + steps))
        player.after_step(seen(HORIZON - 1 + steps / 2, HORIZON + steps))
    assert steps == 2


def test_a_new_episode_and_a_hold_leave_nothing_to_wait_for():
    player = waiting_player()
    player.reset(2, seen(HORIZON - 1, HORIZON))
    assert player.wants_request
    player = waiting_player()
    player.hinder(Reason(HoldKind.ROBOT_HALTED))
    player.next_action(PERIOD * (100 + HORIZON))
    player.after_step(seen(HORIZON, HORIZON + 1))
    player.hinder(Reason(HoldKind.NONE))
    assert player.wants_request


def test_a_clock_that_is_set_back_by_a_moment_does_not_have_actions_played_again():
    joining = load_joining("replace", JoiningSettings(inference_time=2 * PERIOD / 1e9))
    player = ChunkPlayer(ROBOT, SafetyGuard(ROBOT, GuardSettings(max_age=1.0)), joining)
    player.reset(1, moment(0, 0))
    player.activate(SubstepKey("plan", 0, 0))
    player.receive(ChunkAnswer(player.request(), chunk(0)))
    step = 0
    while not player.wants_request:
        player.next_action(PERIOD * (100 + step))
        step += 1
        player.after_step(seen(step - 1, step))
    asked = player.request()
    player.next_action(PERIOD * (100 + step))
    player.after_step(seen(step - 0.5, step - 0.1))
    player.receive(ChunkAnswer(asked, chunk(step - 1)))
    assert round(float(player.next_action()[0]) / SCALE) == step + 1

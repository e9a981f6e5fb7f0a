"""bench episodes: whose time is counted as what, and what is said of it."""

from __future__ import annotations

import inspect

import pytest
import torch

from substep_cli.grammar import main
from substep_policy.policy import as_namer, taught_skills, why_not_guided
from training.bench.episodes import (
    BUILDING,
    POLICY,
    RENDERING,
    REST,
    SIMULATION,
    EpisodeFigures,
    Shares,
    one_thread,
    timed,
)


class Clock:
    """Goes on by what it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_entered_within_something_else_is_not_counted_there():
    clock = Clock()
    shares = Shares(clock)
    clock.now += 1
    with shares.within(SIMULATION):
        clock.now += 10
        with shares.within(RENDERING):
            clock.now += 100
        clock.now += 10
    with pytest.raises(ValueError), shares.within(POLICY):
        clock.now += 1000
        raise ValueError
    clock.now += 1
    assert shares.read() == {BUILDING: 0, SIMULATION: 20, RENDERING: 100, POLICY: 1000, REST: 2}


def test_a_benchmark_of_all_tasks_is_told_from_the_mean_of_those_that_were_played():
    seconds = {BUILDING: 4.0, SIMULATION: 10.0, RENDERING: 2.0, POLICY: 3.0, REST: 1.0}
    told = str(EpisodeFigures(tasks=2, episodes=4, steps=400, seconds=seconds, of=7200, made={}))
    assert "4 episodes of 2 tasks, 100 steps each" in told
    assert "720 episodes an hour of one core, 5.00 s of processor time each" in told
    assert "simulation           2.50 s   50.0 %" in told
    assert "one episode of each of all 7200 tasks: 10.0 hours of one core, 5.0 of two" in told


def test_episodes_that_could_not_begin_are_told():
    seconds = dict.fromkeys((BUILDING, SIMULATION, RENDERING, POLICY, REST), 1.0)
    told = str(EpisodeFigures(1, 4, 300, seconds, of=10, made={}, not_begun=1))
    assert "75 steps each\n1 of them could not begin, with 0 steps\n" in told


class Speaking:
    """Has words, guidance and skills besides what every policy has."""

    name, skills, why_not_guided = "speaking", ("pick up",), ""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def _take(self, *_) -> None:
        self._clock.now += 10

    start_substep = predict = go_on = next_substep = _take


def test_a_timed_policy_can_all_that_the_policy_can_and_all_of_it_is_counted():
    clock = Clock()
    shares = Shares(clock)
    policy = timed(Speaking(clock), shares)
    assert taught_skills(policy) == ("pick up",) and why_not_guided(policy) == "" and as_namer(policy) is policy
    for name in ("skills", "go_on", "next_substep"):
        assert inspect.getattr_static(policy, name), "which protocols are told by from Python 3.12 on"
    policy.start_substep("pick up the bowl", "")
    policy.predict(None), policy.go_on(None, None), policy.next_substep(None, "")
    assert shares.read()[POLICY] == 40 and shares.read()[REST] == 0


def test_pytorch_has_one_thread_meanwhile_and_its_own_again_afterwards():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_an_episode_is_played_and_every_share_of_it_is_told(capsys):
    what = ["--policy", "compact", "--suites", "libero_goal", "--tasks", "7", "--horizon", "16", "--episodes", "1"]
    assert main(["bench", "episodes", *what]) == 0
    told = capsys.readouterr().out
    assert "1 episodes of 1 tasks, 16 steps each" in told
    shares = {line.rpartition(" s ")[0].rsplit(maxsplit=1)[0].strip(): line for line in told.splitlines()[2:-1]}
    assert set(shares) == {BUILDING, SIMULATION, RENDERING, POLICY, REST}
    assert all(float(shares[name].split()[-2]) > 0 for name in (BUILDING, SIMULATION, RENDERING, POLICY))
    assert "of all 10 tasks" in told


def test_only_episodes_in_process_are_timed(capsys):
    assert main(["bench", "episodes", "--through", "graph", "--suites", "libero_goal", "--tasks", "7"]) == 2
    assert "only episodes in process are timed" in capsys.readouterr().err

"""Tasks under simulated latency: what the figures of ``bench joining`` say."""

from __future__ import annotations

import numpy as np
import pytest

from substep_bridge.joining import JOINING_RULES, JoiningSettings, load_joining
from substep_core.chunk import NO_EOS, Chunk
from substep_core.observation import Observation
from substep_planner.manager.recovery import RecoveryLadder
from substep_planner.manager.settings import ManagerSettings
from substep_planner.manager.switch_rules import make_switch_rule
from substep_policy.session.policy_session import NO_HELP
from tests.training.counting_world import Shelf, World
from training.bench.delayed_task import DelayedTask
from training.bench.joining import Episode, JoiningFigures
from training.lockstep import TaskSettings

LENGTH = 40  # actions of each of two substeps


class Sweep:
    """Ends each substep after ``LENGTH`` actions, whatever it is asked; each action is for its own step."""

    name, requires_scene, cameras, horizon = "sweep", False, ("eye",), 8
    why_not_guided = ""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.guided: list[tuple[int, int]] = []
        self.task: DelayedTask | None = None

    def start_substep(self, instruction: str, task: str) -> None:
        self.begun.append(self.task.played)

    def predict(self, observation: Observation) -> Chunk:
        first = self.task.played - self.begun[-1]
        places = np.arange(first, min(first + self.horizon, LENGTH))
        actions = np.zeros((len(places), 7), np.float32)
        actions[:, 0], actions[:, -1] = 0.01 * (places % 2), -1.0
        return Chunk(actions, eos_index=len(places) - 1 if places[-1] == LENGTH - 1 else NO_EOS)

    def go_on(self, observation: Observation, left_over) -> Chunk:
        self.guided.append((len(left_over.actions), left_over.delay))
        return self.predict(observation)


def carry_out(rule: str, delay: int) -> tuple[Episode, Sweep]:
    """The goal holds with the last action, which is the last one that the horizon has room for, too."""
    world, policy = World(horizon=2 * LENGTH, goal=2 * LENGTH), Sweep()
    joining = load_joining(rule, JoiningSettings())
    limits = ManagerSettings(substep_timeout=LENGTH + 1, recovery=RecoveryLadder(0, 0))
    settings = TaskSettings(decomposers=[Shelf()], stuck=NO_HELP, joining=joining, manager=limits)
    policy.task = DelayedTask(world, world.observe(), policy, make_switch_rule("eos"), settings, delay=delay)
    result = policy.task.run()
    assert result.steps == 2 * LENGTH, "what the arm waits for costs a substep and an episode nothing"
    return Episode(result.success, policy.task.steps, policy.task.answers, policy.task.motion), policy


def figures(rule: str, delay: int) -> JoiningFigures:
    return JoiningFigures.of(rule, delay / 20, Sweep.horizon, 20.0, [carry_out(rule, delay)[0]])


@pytest.mark.parametrize("rule", JOINING_RULES.names)
def test_without_latency_every_rule_carries_the_task_out_in_its_own_time(rule):
    episode, _ = carry_out(rule, 0)
    assert (episode.success, episode.steps, episode.answers) == (True, 2 * LENGTH, 10)


@pytest.mark.parametrize("rule", [name for name in JOINING_RULES.names if name != "in_turn"])
@pytest.mark.parametrize("delay", [2, 3])
def test_what_a_chunk_can_hide_is_hidden_but_for_the_start_of_a_substep(rule, delay):
    found = figures(rule, delay)
    assert found.idle == 0 and found.starting == pytest.approx(2 * delay / (2 * LENGTH + 2 * delay))
    assert found.successes == 1 and found.steps == 2 * LENGTH + 2 * delay
    assert found.shortfall == ""


def test_in_turn_the_arm_stands_still_between_chunks():
    found = figures("in_turn", 3)
    assert found.idle == pytest.approx(2 * 4 * 3 / (2 * LENGTH + 2 * 5 * 3))
    assert found.shortfall == "", "nothing was to be hidden"


def test_what_cannot_be_hidden_is_said():
    found = figures("replace", 6)
    assert found.idle > 0.2 and "chunks of 8 actions hide 4 control steps" in found.shortfall


def test_a_guided_policy_is_told_what_is_left_and_how_long_it_takes():
    _, policy = carry_out("real_time_chunking", 2)
    assert policy.guided and all(left >= delay == 2 for left, delay in policy.guided)

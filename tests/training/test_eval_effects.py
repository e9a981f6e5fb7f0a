"""When the effects of pushing, opening, closing and switching hold, while the demonstrator brings them about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from libero_bridge.simulation import Simulation, SimulationConfig
from substep_core.observation import Observation
from substep_core.plan import Substep
from substep_demonstrator import Demonstrator
from tests.given_plan import carry_out
from training.evaluation.effects import Effect, EffectFinder
from training.task_observer import ControlCommand

PUSH = "push the plate to the front of the stove"
OPEN, OPEN_TOP = "open the middle drawer of the cabinet", "open the top drawer of the cabinet"
CLOSE_TOP = "close the top drawer of the cabinet"
ON, OFF = "turn on the stove", "turn off the stove"
pytestmark = pytest.mark.xdist_group("eval")


@contextmanager
def simulated(suite: str, task: int) -> Iterator[Simulation]:
    world = Simulation(SimulationConfig(suite, task, render=False))
    try:
        yield world
    finally:
        world.close()


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    """libero_goal, task 5, whose goal is ``PUSH``; drawers and stove are in the scene, without predicates."""
    with simulated("libero_goal", 5) as world:
        yield world


class Watcher:
    """Asks at every control step whether the active substep's effect holds."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._finder = EffectFinder()
        self.effects: list[Effect] = []
        self.held: list[list[bool]] = []  # for each substep, from before its first step to after its last

    def __call__(self, observation: Observation, command: ControlCommand) -> None:
        index = command.substep.index
        if index == len(self.effects):
            self.end(observation)
            self.effects.append(self._finder.find(self._texts[index], observation.scene))
            self.held.append([])
        self.held[index].append(self.effects[index](observation.scene))

    def end(self, observation: Observation) -> None:
        if self.effects:
            self.held[-1].append(self.effects[-1](observation.scene))


def watch(simulation: Simulation, *texts: str) -> Watcher:
    """The demonstrator carries these substeps out, one after the other."""
    watcher = Watcher(texts)
    plan = [Substep(text, "it is done") for text in texts]
    assert carry_out(simulation, Demonstrator(), plan, watcher).finish.success
    watcher.end(simulation.observe())
    return watcher


def changes(held: Sequence[bool]) -> int:
    return sum(before != after for before, after in zip(held, held[1:], strict=False))


def test_a_thing_is_pushed_when_it_has_arrived(simulation: Simulation):
    (held,) = watch(simulation, PUSH).held
    assert not held[0] and held[-1] and simulation.success
    assert not any(held[:20]), "the arm is only on its way"


@pytest.mark.parametrize(
    ("text", "others"), [(OPEN, (OPEN_TOP, ON, PUSH)), (ON, (OPEN, OPEN_TOP, PUSH))], ids=["open", "turn on"]
)
def test_a_drawer_is_open_or_a_stove_on_when_it_is_and_nothing_else(
    simulation: Simulation, text: str, others: Sequence[str]
):
    simulation.reset(0, 0)
    effects = [EffectFinder().find(other, simulation.scene()) for other in others]
    (held,) = watch(simulation, text).held
    assert not held[0] and held[-1] and changes(held) == 1
    assert not any(effect(simulation.scene()) for effect in effects)


@pytest.mark.parametrize(("task", "text", "opposite"), [(28, CLOSE_TOP, OPEN_TOP), (39, OFF, ON)])
def test_a_drawer_is_closed_and_a_stove_off_when_the_world_says_so(task: int, text: str, opposite: str):
    with simulated("libero_90", task) as world:
        world.reset(0, 0)
        undone = EffectFinder().find(opposite, world.scene())
        assert undone(world.scene())
        (held,) = watch(world, text).held
        assert not held[0] and held[-1] and world.success
        assert not undone(world.scene())

"""Records an episode: actions played, actions meant (without noise), and where substeps end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from libero_bridge.simulation import Simulation
from substep_core.episode import Placement
from substep_core.observation import Observation
from substep_core.plan import Substep
from substep_core.tasks import Split
from substep_planner.manager.events import Activate
from substep_policy.policy import Policy
from training.collect.demonstration import LIMITS, demonstrate
from training.collect.settings import Variation
from training.collect.variations import DisturbedPolicy, NoisyPolicy, Novice, load_novice
from training.lockstep import TaskResult
from training.task_observer import ControlCommand, Observer

# What the novice takes is not the demonstrator's fault.
LIMITS_WITH_NOVICE = replace(LIMITS, substep_timeout=600)
HORIZON, HORIZON_WITH_NOVICE = 1000, 2000


@dataclass(frozen=True)
class DemonstrationStart:
    """What an episode is made from: with the actions it gives every frame again."""

    init_state: int
    seed: int
    placement: Placement
    noise: float
    arm_distance: float = 0.0


def draw_start(variation: Variation, split: Split, seed: Sequence[int]) -> DemonstrationStart:
    """The start of an episode, a function of ``seed`` alone.

    Args:
        split: of the task source, ``variation.split``.
    """
    random = np.random.default_rng(seed)
    return DemonstrationStart(
        init_state=int(random.choice(split.init_states)),
        seed=int(random.integers(split.seeds.start, split.seeds.stop)),
        placement=Placement.WIDENED if random.random() < variation.widened else Placement.BENCHMARK,
        noise=0.0 if random.random() < 0.25 else float(random.uniform(0, variation.noise)),
        arm_distance=float(random.uniform(0, variation.arm_distance)),
    )


@dataclass(frozen=True)
class Recording:
    """An episode of T timesteps.

    Attributes:
        start: what it was made from.
        actions: (T, A) float32 as carried out; taught_actions: as meant, without noise.
        taught: (T,) bool, False during disturbances.
        proprio: (T, S) float32 before each action.
        ends: the last timestep of each substep.
        substeps: as many as there are ends.
    """

    start: DemonstrationStart
    actions: np.ndarray
    taught_actions: np.ndarray
    taught: np.ndarray
    proprio: np.ndarray
    ends: tuple[int, ...]
    substeps: tuple[Substep, ...]


class _Recorder(Observer):
    """Collects what the world is told, and what was meant."""

    def __init__(self, disturbed: DisturbedPolicy, noisy: NoisyPolicy) -> None:
        self._disturbed, self._noisy = disturbed, noisy
        self.substeps: tuple[Substep, ...] = ()
        self.executed: list[np.ndarray] = []
        self.meant: list[np.ndarray] = []
        self.taught: list[bool] = []
        self.proprio: list[np.ndarray] = []
        self.ends: list[int] = []

    def on_activate(self, command: Activate, observation: Observation) -> None:
        self.substeps = command.plan

    def on_command(self, observation: Observation, command: ControlCommand) -> None:
        chunk, holds = self._noisy.meant, command.chunk is None  # it holds after a chunk that the guard rejected
        self.executed.append(np.asarray(command.action, np.float32))
        self.meant.append(self.executed[-1] if holds else np.asarray(chunk.actions[command.index], np.float32))
        self.taught.append(not (holds or self._disturbed.is_disturbance(chunk)))
        self.proprio.append(observation.proprio)
        if not holds and chunk.eos_index == command.index:
            self.ends.append(len(self.executed) - 1)


def record_episode(
    simulation: Simulation, policy: Policy, start: DemonstrationStart, variation: Variation
) -> tuple[Recording | None, TaskResult]:
    """Play an episode; -> its recording if LIBERO says success and every substep came to its end, and the result.

    Raises:
        NoRoomError: the world cannot start like that.
    """
    novice = None
    if variation.novice:
        novice = Novice(load_novice(variation.novice, simulation.suite), simulation, start.seed)
    disturbed = DisturbedPolicy(policy, variation, start.seed, novice)
    noisy = NoisyPolicy(disturbed, start.noise, start.seed)
    recorder = _Recorder(disturbed, noisy)
    observation = simulation.reset(start.init_state, start.seed, start.placement, start.arm_distance)
    limits = LIMITS_WITH_NOVICE if variation.novice else LIMITS
    result = demonstrate(simulation, observation, noisy, limits=limits, observers=(recorder,))
    if not (result.success and result.finish.success):
        return None, result
    recording = Recording(
        start,
        np.stack(recorder.executed),
        np.stack(recorder.meant),
        np.asarray(recorder.taught),
        np.stack(recorder.proprio),
        tuple(recorder.ends),
        recorder.substeps,
    )
    return recording, result

"""Records a policy's episode: what was done, what was meant, and where substeps end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from libero_bridge.placement import Placement
from libero_bridge.simulation import Simulation
from substep_planner.plan import Substep
from substep_policy.chunk import Chunk
from substep_policy.observation import Observation
from substep_policy.policy import Policy
from training.disturbances import DisturbedPolicy, Novice, Variation, load_novice
from training.rollout import EOS, EpisodeResult, RolloutConfig, run_episode
from training.splits import SPLITS

WITH_NOVICE = {"substep_steps": 600, "episode_steps": 2000}  # what the novice takes is not the demonstrator's fault


@dataclass(frozen=True)
class EpisodeStart:
    """What an episode is made from: with the actions it gives every frame again."""

    init_state: int
    seed: int
    placement: Placement
    noise: float


def draw_start(variation: Variation, seed: Sequence[int]) -> EpisodeStart:
    """The start of an episode, a function of ``seed`` alone."""
    random = np.random.default_rng(seed)
    split = SPLITS[variation.split]
    return EpisodeStart(
        init_state=int(random.choice(split.init_states)),
        seed=int(random.integers(split.seeds.start, split.seeds.stop)),
        placement=Placement.WIDENED if random.random() < variation.widened else Placement.BENCHMARK,
        noise=0.0 if random.random() < 0.25 else float(random.uniform(0, variation.noise)),
    )


@dataclass(frozen=True)
class Recording:
    """An episode of T timesteps.

    Attributes:
        start: what it was made from.
        actions: (T, 7) float32 as carried out; taught_actions: as meant, without noise.
        taught: (T,) bool, False during disturbances.
        proprio: (T, 8) float32 before each action.
        ends: the last timestep of each substep.
        substeps: as many as there are ends.
    """

    start: EpisodeStart
    actions: np.ndarray
    taught_actions: np.ndarray
    taught: np.ndarray
    proprio: np.ndarray
    ends: tuple[int, ...]
    substeps: tuple[Substep, ...]


class _Recorder:
    """Collects what ``run_episode`` reports before every step."""

    def __init__(self, policy: DisturbedPolicy) -> None:
        self._policy = policy
        self._chunk: Chunk | None = None
        self._position = 0
        self.executed: list[np.ndarray] = []
        self.meant: list[np.ndarray] = []
        self.taught: list[bool] = []
        self.proprio: list[np.ndarray] = []
        self.ends: list[int] = []

    def __call__(self, observation: Observation, action: np.ndarray, substep: int, chunk: Chunk) -> None:
        self._position = self._position + 1 if chunk is self._chunk else 0
        self._chunk = chunk
        self.executed.append(np.asarray(action, np.float32))
        self.meant.append(np.asarray(chunk.actions[self._position], np.float32))
        self.taught.append(not self._policy.is_disturbance(chunk))
        self.proprio.append(observation.proprio)
        if chunk.eos_index == self._position:
            self.ends.append(len(self.executed) - 1)


def record_episode(
    simulation: Simulation, policy: Policy, substeps: Sequence[Substep], start: EpisodeStart, variation: Variation
) -> tuple[Recording | None, EpisodeResult]:
    """Play an episode; -> its recording if LIBERO says success and every substep came to its end, and the result."""
    novice = Novice(load_novice(variation.novice), simulation) if variation.novice else None
    torch.manual_seed(start.seed)  # some novices draw; each episode is a function of its start
    disturbed = DisturbedPolicy(policy, variation, start.seed, novice)
    recorder = _Recorder(disturbed)
    result = run_episode(
        simulation,
        disturbed,
        substeps,
        RolloutConfig(**(WITH_NOVICE if variation.novice else {}), noise=start.noise, seed=start.seed),
        init_state=start.init_state,
        seed=start.seed,
        placement=start.placement,
        on_step=recorder,
    )
    is_whole = len(result.substeps) == len(substeps) and all(part.reason == EOS for part in result.substeps)
    if not (result.success and is_whole):
        return None, result
    return (
        Recording(
            start,
            np.stack(recorder.executed),
            np.stack(recorder.meant),
            np.asarray(recorder.taught),
            np.stack(recorder.proprio),
            tuple(recorder.ends),
            tuple(substeps),
        ),
        result,
    )

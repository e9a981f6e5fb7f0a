"""Records a policy's episode: what was done, what was meant, and where substeps end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from libero_bridge.placement import Placement
from libero_bridge.simulation import Simulation
from substep_planner.plan import Substep
from substep_policy.chunk import Chunk
from substep_policy.configuration import configuration
from substep_policy.observation import Observation
from substep_policy.policy import Policy
from training.rollout import EOS, EpisodeResult, RolloutConfig, run_episode
from training.splits import SPLITS


@configuration
class Variation:
    """How episodes are varied.

    Attributes:
        widened: share of episodes with widened placements; the others start in benchmark states.
        noise: largest standard deviation of the noise on actions; each episode draws its own, a quarter have none.
            The actions taught are those without it (Laskey et al. 2017, DART).
        disturbance: chance, each time the policy is asked, that the arm is first moved elsewhere.
        disturbance_steps: shortest and longest such motion, in control steps.
        split: "training", or "evaluation" for episodes that nothing may be trained on.
    """

    widened: float = 0.7
    noise: float = 0.15
    disturbance: float = 0.01
    disturbance_steps: tuple[int, int] = (4, 10)
    split: Literal["training", "evaluation"] = "training"

    def __post_init__(self) -> None:
        for name in ("widened", "noise", "disturbance"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be in [0, 1]")
        if not 1 <= self.disturbance_steps[0] <= self.disturbance_steps[1]:
            raise ValueError(f"disturbance_steps {self.disturbance_steps} must be two rising numbers from 1 on")


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


class DisturbedPolicy:
    """A policy whose arm is now and then moved elsewhere, so that demonstrations show how to recover."""

    def __init__(self, policy: Policy, variation: Variation, seed: int) -> None:
        self._policy, self._variation = policy, variation
        self._random = np.random.default_rng((seed, 1))
        self._gripper = -1.0
        self._disturbance: Chunk | None = None

    def __getattr__(self, name: str):
        """Name, device and the like are the policy's own."""
        return getattr(self._policy, name)

    def start_substep(self, instruction: str, task: str) -> None:
        self._policy.start_substep(instruction, task)

    def predict(self, observation: Observation) -> Chunk:
        """The policy's chunk, or a motion somewhere else with the gripper as it is."""
        if self._random.random() < self._variation.disturbance:
            self._disturbance = self._motion()
            return self._disturbance
        chunk = self._policy.predict(observation)
        self._gripper = float(chunk.actions[-1, -1])
        return chunk

    def is_disturbance(self, chunk: Chunk) -> bool:
        return chunk is self._disturbance

    def _motion(self) -> Chunk:
        low, high = self._variation.disturbance_steps
        action = np.append(self._random.uniform(-0.6, 0.6, 6), self._gripper)
        action[3:6] *= 0.2
        return Chunk(np.tile(action, (self._random.integers(low, high + 1), 1)).astype(np.float32))


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
    disturbed = DisturbedPolicy(policy, variation, start.seed)
    recorder = _Recorder(disturbed)
    result = run_episode(
        simulation,
        disturbed,
        substeps,
        RolloutConfig(noise=start.noise, seed=start.seed),
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

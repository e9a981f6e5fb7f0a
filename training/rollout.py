"""Plays a policy in the simulated world through a plan, substep by substep: for evaluation, collection and tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from libero_bridge.placement import Placement
from libero_bridge.simulation import Simulation
from substep_planner.plan import Substep
from substep_policy.chunk import Chunk
from substep_policy.observation import Observation
from substep_policy.policy import Policy

EOS, TASK_SUCCESS, TIMEOUT, EPISODE_TIMEOUT, REFUSED = "eos", "task_success", "timeout", "episode_timeout", "refused"


@dataclass(frozen=True)
class RolloutConfig:
    """Limits of an episode.

    Attributes:
        substep_steps: control steps that a substep may take.
        episode_steps: control steps that the episode may take.
        stop_on_success: end as soon as LIBERO says success (as its evaluation does) or play the plan to its end.
        noise: standard deviation of Gaussian noise on the six motion components of every action, in action units.
        seed: of that noise.
    """

    substep_steps: int = 300
    episode_steps: int = 1000
    stop_on_success: bool = False
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.substep_steps < 1 or self.episode_steps < 1:
            raise ValueError(f"limits are {self.substep_steps} and {self.episode_steps} steps, expected 1 or more")
        if not 0 <= self.noise <= 1:
            raise ValueError(f"noise {self.noise} is out of range: expected 0 to 1")


@dataclass(frozen=True)
class SubstepResult:
    """``reason``: "eos", "task_success", "timeout", "episode_timeout", or "refused" with the policy's ``message``."""

    instruction: str
    steps: int
    reason: str
    message: str = ""


@dataclass(frozen=True)
class EpisodeResult:
    """``success`` is LIBERO's verdict, true if the goal held at any step; ``success_step`` the first such step."""

    success: bool
    steps: int
    success_step: int | None
    substeps: tuple[SubstepResult, ...] = field(default_factory=tuple)


StepCallback = Callable[[Observation, np.ndarray, int, Chunk], None]


def run_episode(
    simulation: Simulation,
    policy: Policy,
    plan: Sequence[Substep],
    config: RolloutConfig | None = None,
    *,
    init_state: int = 0,
    seed: int = 0,
    placement: Placement = Placement.BENCHMARK,
    on_step: StepCallback | None = None,
) -> EpisodeResult:
    """One episode from a reset. A substep that fails ends it.

    Args:
        on_step: called before every step with the observation, the (7,) action, the substep's index and its chunk.
    """
    episode = _Episode(simulation, policy, config or RolloutConfig(), on_step)
    episode.observation = simulation.reset(init_state, seed, placement)
    results: list[SubstepResult] = []
    for index, substep in enumerate(plan):
        results.append(episode.play(index, substep))
        if results[-1].reason != EOS:
            break
    return EpisodeResult(simulation.success, simulation.step_count, episode.success_step, tuple(results))


class _Episode:
    """The loop's state: the newest observation, and when the goal first held."""

    observation: Observation

    def __init__(self, simulation: Simulation, policy: Policy, config: RolloutConfig, on_step: StepCallback | None):
        self._simulation, self._policy, self._config, self._on_step = simulation, policy, config, on_step
        self._noise = np.random.default_rng(config.seed)
        self.success_step: int | None = None

    def play(self, index: int, substep: Substep) -> SubstepResult:
        first = self._simulation.step_count
        try:
            self._policy.start_substep(substep.instruction, self._simulation.instruction)
            reason = self._play_chunks(index, first)
        except ValueError as error:
            return SubstepResult(substep.instruction, self._simulation.step_count - first, REFUSED, str(error))
        return SubstepResult(substep.instruction, self._simulation.step_count - first, reason)

    def _play_chunks(self, index: int, first: int) -> str:
        while True:
            chunk = self._policy.predict(self.observation)
            for action in chunk.actions:
                self._step(action, index, chunk)
                if self.success_step is not None and self._config.stop_on_success:
                    return TASK_SUCCESS
                if self._simulation.step_count >= self._config.episode_steps:
                    return EPISODE_TIMEOUT
            if chunk.has_eos:
                return EOS
            if self._simulation.step_count - first >= self._config.substep_steps:
                return TIMEOUT

    def _step(self, action: np.ndarray, index: int, chunk: Chunk) -> None:
        if self._config.noise:
            action = action.copy()
            action[:6] = np.clip(action[:6] + self._noise.normal(0, self._config.noise, 6), -1, 1)
        if self._on_step is not None:
            self._on_step(self.observation, action, index, chunk)
        self.observation = self._simulation.step(action)
        if self.success_step is None and self._simulation.success:
            self.success_step = self._simulation.step_count

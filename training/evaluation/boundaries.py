"""Compares EOS with the truth: the policy predicts at every step of a demonstrator's episode and moves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from libero_bridge.simulation import Simulation
from substep_core.episode import Placement
from substep_core.observation import Observation
from substep_core.plan import Substep
from substep_demonstrator import Demonstrator
from substep_planner.manager.events import Activate
from substep_policy.policy import Policy
from training.checkpoints.eos_score import TOLERANCE, count_ends
from training.collect.demonstration import demonstrate
from training.task_observer import ControlCommand, Observer


@dataclass(frozen=True)
class DemonstratedWay:
    """A demonstrator's episode.

    Attributes:
        observations: one before each control step, with images.
        ends: the last step of every substep.
    """

    observations: tuple[Observation, ...]
    ends: tuple[int, ...]
    substeps: tuple[Substep, ...]


class _Witness(Observer):
    """Keeps what the cameras see before every control step."""

    def __init__(self, simulation: Simulation, cameras: Sequence[str]) -> None:
        self._simulation, self._cameras = simulation, cameras
        self.observations: list[Observation] = []
        self.active: list[int] = []
        self.substeps: tuple[Substep, ...] = ()

    def on_activate(self, command: Activate, observation: Observation) -> None:
        self.substeps = command.plan

    def on_command(self, observation: Observation, command: ControlCommand) -> None:
        images = self._simulation.images(self._cameras)
        self.observations.append(replace(observation, images=images, scene=None))
        self.active.append(command.substep.index)


def demonstrated_way(
    simulation: Simulation, init_state: int, seed: int, placement: Placement, cameras: Sequence[str]
) -> DemonstratedWay | str:
    """The demonstrator's way through the task's plan, or why it did not come to its end."""
    witness = _Witness(simulation, cameras)
    observation = simulation.reset(init_state, seed, placement)
    finish = demonstrate(simulation, observation, Demonstrator(), observers=(witness,)).finish
    if not finish.success:
        return f"the demonstrator did not come to the end: {finish.message}"
    active = witness.active
    ends = [step for step in range(len(active)) if step + 1 == len(active) or active[step + 1] != active[step]]
    return DemonstratedWay(tuple(witness.observations), tuple(ends), witness.substeps)


def judge_ends(way: DemonstratedWay, policy: Policy, task: str) -> list[dict]:
    """Right, premature and missed ends of every substep as plain data, see ``training.checkpoints.eos_score``.

    None for a policy that tells no EOS probabilities.
    """
    found, begin = [], 0
    for substep, end in zip(way.substeps, way.ends, strict=True):
        policy.start_substep(substep.instruction, task)
        last = min(end + TOLERANCE, len(way.observations) - 1)
        chunks = [policy.predict(observation) for observation in way.observations[begin : last + 1]]
        chunk_length = len(chunks[0].eos_probabilities)
        if not chunk_length:
            return []
        indices = np.array([chunk.eos_index for chunk in chunks])
        counts = count_ends(indices, end - begin + 1, chunk_length)
        found.append({"instruction": substep.instruction, "length": end - begin + 1, **asdict(counts)})
        begin = end + 1
    return found

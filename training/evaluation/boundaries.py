"""EOS against the truth: the policy is asked at every control step of the demonstrator's way, and moves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from libero_bridge.placement import Placement
from libero_bridge.simulation import Simulation
from substep_planner.plan import Substep
from substep_policy.chunk import Chunk
from substep_policy.demonstrator import Demonstrator
from substep_policy.observation import Observation
from substep_policy.policy import Policy
from training.eos_score import TOLERANCE, count_ends
from training.rollout import EOS, RolloutConfig, run_episode


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


def demonstrate(
    simulation: Simulation,
    substeps: Sequence[Substep],
    init_state: int,
    seed: int,
    placement: Placement,
    cameras: Sequence[str],
) -> DemonstratedWay | str:
    """The demonstrator's way through a plan, or why it did not come to its end."""
    observations: list[Observation] = []
    active: list[int] = []

    def keep(observation: Observation, action: np.ndarray, substep: int, chunk: Chunk) -> None:
        images = {camera: simulation.render(camera, *simulation.config.image_size) for camera in cameras}
        observations.append(replace(observation, images=images, scene=None))
        active.append(substep)

    result = run_episode(
        simulation,
        Demonstrator(),
        substeps,
        RolloutConfig(),
        init_state=init_state,
        seed=seed,
        placement=placement,
        on_step=keep,
    )
    last = result.substeps[-1]
    if last.reason != EOS or len(result.substeps) < len(substeps):
        return f"the demonstrator ended {last.instruction!r} with {last.reason} {last.message}".strip()
    ends = [step for step in range(len(active)) if step + 1 == len(active) or active[step + 1] != active[step]]
    return DemonstratedWay(tuple(observations), tuple(ends), tuple(substeps))


def judge_ends(way: DemonstratedWay, policy: Policy, task: str) -> list[dict]:
    """Right, premature and missed ends of every substep as plain data, see ``training.eos_score``; none for a policy
    that tells no EOS probabilities.
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

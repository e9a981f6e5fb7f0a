"""Policies for probes: recorded actions played open loop, and a policy with substituted instructions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from libero_bridge.simulation import Simulation
from libero_bridge.tasks import LIBERO, LiberoSource
from substep_core.chunk import NO_EOS, Chunk
from substep_core.contract import RobotContract
from substep_core.episode import Placement
from substep_core.observation import Observation
from substep_core.protocol import ChunkRefused, RefusalKind
from substep_core.tasks import Task, task_source
from substep_demonstrator import Demonstrator
from substep_policy.policy import Policy
from training.collect.recording import draw_start, record_episode
from training.collect.settings import Variation
from training.evaluation.probes import Wording
from training.evaluation.settings import demonstration_file

CHUNK = 8
ATTEMPTS = 20
PLAIN = Variation(widened=0.0, noise=0.0, disturbance=0.0)


class ReplayPolicy:
    """Implements ``Policy``: plays (T, A) recorded actions whatever it sees, and ends."""

    name = "replay"
    requires_scene = False
    device, dtype = "cpu", "float32"

    cameras: tuple[str, ...] = ()
    horizon = CHUNK

    def __init__(self, actions: np.ndarray, robot: RobotContract) -> None:
        self.robot = robot
        self._actions = np.asarray(actions, np.float32)
        self._next = 0

    def start_substep(self, instruction: str, task: str) -> None:
        self._next = 0

    def predict(self, observation: Observation) -> Chunk:
        """Raises: ChunkRefused: the recording is over."""
        actions = self._actions[self._next : self._next + CHUNK]
        if not len(actions):
            raise ChunkRefused(RefusalKind.OTHER, "the recorded demonstration is over")
        self._next += len(actions)
        is_last = self._next == len(self._actions)
        return Chunk(actions, eos_index=len(actions) - 1 if is_last else NO_EOS)


class Retold:
    """Implements ``Policy``: a policy that is told other words than the plan's."""

    def __init__(self, policy: Policy, words: Wording, episode: int) -> None:
        self._policy, self._words, self._episode = policy, words, episode

    def __getattr__(self, name: str):
        """Name, device and the like are the policy's own."""
        return getattr(self._policy, name)

    def start_substep(self, instruction: str, task: str) -> None:
        words = self._words(instruction, self._episode)
        self._policy.start_substep(words, words if not words else task)

    def predict(self, observation: Observation) -> Chunk:
        return self._policy.predict(observation)


def recorded_actions(demonstrations: Path, task: Task) -> np.ndarray:
    """(T, A) actions as carried out in one demonstration of a data set: of those from benchmark states, where there
    are any, the one with the least noise.

    Raises:
        ValueError: there is no demonstration of the task.
    """
    with h5py.File(demonstration_file(demonstrations, task)) as content:
        groups = content["data"]
        best = min(groups, key=lambda name: _plainness(name, groups[name].attrs))
        return groups[best]["actions"][:].astype(np.float32)


def demonstrated_actions(simulation: Simulation) -> np.ndarray:
    """(T, A) actions of the demonstrator's first success from one of the initial states that training takes, of the
    plain task where the simulation's is a perturbed one.

    Raises:
        ValueError: it has none in ``ATTEMPTS`` episodes.
    """
    source = task_source(simulation.config.tasks_from)
    base = source.task(simulation.suite, simulation.task_index).base
    if base:  # nothing is trained on a perturbed task: what is replayed is of the plain one
        suite, name = base
        index = LiberoSource().names(suite).index(name)
        plain = Simulation(replace(simulation.config, tasks_from=LIBERO, suite=suite, task_index=index))
        try:
            return demonstrated_actions(plain)
        finally:
            plain.close()
    split = source.splits[PLAIN.split]
    for attempt in range(ATTEMPTS):
        recording, _ = record_episode(simulation, Demonstrator(), draw_start(PLAIN, split, (attempt,)), PLAIN)
        if recording is not None:
            return recording.actions
    raise ValueError(f"no demonstration of {simulation.instruction!r} to replay: none of {ATTEMPTS} succeeded")


def _plainness(name: str, attributes) -> tuple[bool, float, int]:
    """LIBERO's own files say nothing of placement and noise: they have neither."""
    widened = attributes.get("placement", Placement.BENCHMARK.value) != Placement.BENCHMARK.value
    return widened, float(attributes.get("noise", 0.0)), int(name.removeprefix("demo_"))

"""Episodes per hour of a processor core, and what their time goes into: ``./substep bench episodes``.

Episodes are played as ``./substep eval`` plays them, in this process alone and on one thread of PyTorch. Times are
processor time, which other programs on the machine disturb less than the clock on the wall.
"""

from __future__ import annotations

import copy
import functools
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from libero_bridge.simulation import Simulation, SimulationConfig
from substep_core.episode import Placement
from substep_core.observation import Observation
from substep_core.task_sampling import Place
from substep_policy.policy import Policy
from substep_policy.registry import PolicySettings
from training.evaluation.episodes import Job, jobs
from training.evaluation.in_process import NO_ROOM, InProcessPlayer, load_policy
from training.evaluation.provenance import provenance
from training.evaluation.settings import EpisodeSettings, Selection, check_together

BUILDING, SIMULATION, RENDERING, POLICY, REST = "building worlds", "simulation", "rendering", "policy", "the rest"
KINDS = BUILDING, SIMULATION, RENDERING, POLICY, REST
ASKED = "start_substep", "predict", "go_on", "next_substep"  # methods in which a policy computes
HOUR = 3600.0  # s


class Shares:
    """Adds up processor time by what it goes into; what is entered within something else is not counted there."""

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self._clock, self._inside, self._since = clock, [REST], clock()
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def within(self, kind: str) -> Iterator[None]:
        self._turn()
        self._inside.append(kind)
        try:
            yield
        finally:
            self._turn()
            self._inside.pop()

    def read(self) -> dict[str, float]:
        """s of every kind so far."""
        self._turn()
        return {kind: self.seconds[kind] for kind in KINDS}

    def _turn(self) -> None:
        now = self._clock()
        self.seconds[self._inside[-1]] += now - self._since
        self._since = now


class TimedSimulation(Simulation):
    """Says what it takes."""

    def __init__(self, config: SimulationConfig, shares: Shares) -> None:
        self._shares = shares
        with shares.within(BUILDING):
            super().__init__(config)

    def reset(
        self,
        init_state: int = 0,
        seed: int = 0,
        placement: Placement = Placement.BENCHMARK,
        arm_distance: float = 0.0,
    ) -> Observation:
        with self._shares.within(SIMULATION):
            return super().reset(init_state, seed, placement, arm_distance)

    def step(self, action: np.ndarray, under_task: bool = True, counts: bool = True) -> Observation:
        with self._shares.within(SIMULATION):
            return super().step(action, under_task, counts)

    def images(self, cameras: Iterable[str]) -> dict[str, np.ndarray]:
        with self._shares.within(RENDERING):
            return super().images(cameras)

    def close(self) -> None:
        with self._shares.within(BUILDING):
            super().close()


def timed(policy: Policy, shares: Shares) -> Policy:
    """The policy, whose time is counted. It stays of its class, by which it is told what it can besides."""
    found = copy.copy(policy)
    for name in ASKED:
        if hasattr(policy, name):
            setattr(found, name, _within_policy(getattr(policy, name), shares))
    return found


def _within_policy(method: Callable[..., Any], shares: Shares) -> Callable[..., Any]:
    @functools.wraps(method)
    def counted(*arguments: Any) -> Any:
        with shares.within(POLICY):
            return method(*arguments)

    return counted


@dataclass(frozen=True)
class EpisodeFigures:
    """What was measured.

    Attributes:
        tasks, episodes, steps: that were played, control steps of all together.
        seconds: of processor time, by what they went into.
        of: tasks that the source has of the selected suites.
        not_begun: of the episodes those whose world could not begin; they have no steps.
    """

    tasks: int
    episodes: int
    steps: int
    seconds: dict[str, float]
    of: int
    made: dict[str, Any]
    not_begun: int = 0

    @property
    def seconds_an_episode(self) -> float:
        return sum(self.seconds.values()) / self.episodes

    def __str__(self) -> str:
        total = sum(self.seconds.values())
        rows = [
            f"  {kind:16} {seconds / self.episodes:8.2f} s {100 * seconds / total:6.1f} %"
            for kind, seconds in self.seconds.items()
        ]
        hours = self.of * self.seconds_an_episode / HOUR
        without = [f"{self.not_begun} of them could not begin, with 0 steps"] if self.not_begun else []
        return "\n".join(
            [
                f"{self.episodes} episodes of {self.tasks} tasks, {self.steps / self.episodes:.0f} steps each",
                *without,
                f"{HOUR / self.seconds_an_episode:.0f} episodes an hour of one core, "
                f"{self.seconds_an_episode:.2f} s of processor time each:",
                *rows,
                f"one episode of each of all {self.of} tasks: {hours:.1f} hours of one core, {hours / 2:.1f} of two",
            ]
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


def bench(settings: EpisodeSettings, selection: Selection, command: str) -> EpisodeFigures:
    """Play the selection.

    What is loaded once in a process (the policy, imports) is loaded before; building a task's world is counted.

    Raises:
        ValueError: something that cannot be played was asked for.
    """
    check_together(settings, selection)
    if settings.through != "process":
        raise ValueError(f"through is {settings.through!r}: only episodes in process are timed")
    todo = jobs(settings, selection, ())
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        _play(todo[0], Shares(), Path(folder), first=True)
        shares = Shares()
        records = [record for job in todo for record in _play(job, shares, Path(folder))]
    source = settings.source
    of = sum(len(source.playable(suite)) for suite in selection.suites or source.default_suites)
    places: set[Place] = {(job.suite, job.task) for job in todo}
    steps = sum(record.get("steps", 0) for record in records)
    not_begun = sum(record.get("error") == NO_ROOM for record in records)
    return EpisodeFigures(len(places), len(records), steps, shares.read(), of, provenance(command), not_begun)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _play(job: Job, shares: Shares, folder: Path, first: bool = False) -> list[dict[str, Any]]:
    """Records of a job's episodes. Args: first: only the first one."""

    def load(policy: str, settings: PolicySettings) -> Policy:
        return timed(load_policy(policy, settings), shares)

    def world(config: SimulationConfig) -> Simulation:
        return TimedSimulation(config, shares)

    player = InProcessPlayer(job.settings, job.suite, job.task, folder, load, world)
    try:
        keys = job.episodes[:1] if first else job.episodes
        return [player.play(key, key in job.filmed) for key in keys]
    finally:
        player.close()

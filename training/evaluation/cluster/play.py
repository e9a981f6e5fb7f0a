"""Plays jobs on a Ray cluster and hands their records over one by one. Ray is an extra."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.evaluation.cluster.settings import ClusterSettings, RayCluster
from training.evaluation.episodes import Job
from training.evaluation.settings import EpisodeSettings

REQUIREMENT = "requirements/ray.txt"
Record = dict[str, Any]


class MissingRay(RuntimeError):
    """Ray is not installed; the message says what to do."""


@dataclass(frozen=True)
class Replaced:
    """Processes that died and whose work others took over."""

    simulators: int
    policies: int

    def __str__(self) -> str:
        return f"replaced after they died: {self.simulators} simulators, {self.policies} policy processes"

    def __bool__(self) -> bool:
        return bool(self.simulators or self.policies)


def has_ray() -> bool:
    return importlib.util.find_spec("ray") is not None


def check_ray(settings: EpisodeSettings) -> None:
    """Raises: MissingRay. ValueError: episodes that only one machine plays."""
    if settings.through != "process":
        raise ValueError(f"--ray plays in process, not through the {settings.through}: leave one of them out")
    if not has_ray():
        raise MissingRay(f"--ray needs Ray, which is not installed: ./substep install -r {REQUIREMENT}")


def play(jobs: Sequence[Job], folder: Path, cluster: RayCluster, finished: Callable[[Record], None]) -> Replaced:
    """Play every job.

    Args:
        folder: of the results, on this machine alone; gets videos.
        finished: told of every episode's record.

    Raises:
        ConnectionError: there is no such cluster.
        ValueError: the cluster has too few cores, or a machine of it has other code or another policy.
        ChildProcessError: processes die again and again.
        Exception: whatever an episode raised.
    """
    if not jobs:
        return Replaced(0, 0)
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.WARNING)
    try:
        return _play(jobs, folder, cluster.settings, finished)
    finally:
        ray.shutdown()


def _play(jobs: Sequence[Job], folder: Path, cluster: ClusterSettings, finished: Callable[[Record], None]) -> Replaced:
    import ray

    from training.evaluation.cluster.crew import Crew
    from training.evaluation.cluster.played import Played
    from training.evaluation.cluster.team import Team
    from training.evaluation.workers import GROWTH

    crew = Crew(jobs[0].settings, jobs[0].suite, cluster, ray.cluster_resources())
    answered: set[str] = set()

    def take(played: Played) -> None:
        answered.update(played.policies)
        for name, content in played.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        finished(played.record)

    team = Team(crew.simulator, crew.simulators, take, GROWTH)
    team.play(jobs)
    return Replaced(team.died, len(answered - crew.processes))

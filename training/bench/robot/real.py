"""``./substep bench real``: episodes of the stand-in robot through the running graph, in real time."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from substep_bringup.graph_config import RealConfig
from substep_core.errors import ErrorCode
from substep_policy.registry import POLICIES, PolicySettings
from substep_standin.settings import DRIVER
from training.bench.robot.bench import EpisodePlayer, play_missing
from training.bench.robot.graph import StandInGraph, idle_share, parameter_file, running_graph
from training.bench.robot.settings import (
    EpisodeName,
    GraphBenchSettings,
    RobotSelection,
    by_graph,
    check_rules,
    planned,
)
from training.evaluation.settings import EpisodeSettings

GRAPHS = "graphs"
PATIENCE = 3.0  # times what the horizon takes, after which an episode is given up
PLANNING = 120.0  # s


def bench_real(
    settings: GraphBenchSettings, selection: RobotSelection, out: Path, command: str
) -> list[dict[str, Any]]:
    """Records of all selected episodes; those that the folder has are not played again.

    Raises:
        ValueError: an unknown task or rule, or one that the policy cannot do, or a folder of other settings.
        BlockingIOError: another one is at work in the folder.
        RuntimeError: the graph does not come up, or a node dies.
    """
    names = by_graph(list(planned(settings, selection)))

    def player() -> EpisodePlayer:
        check_rules(selection, POLICIES.load(settings.policy, PolicySettings(device=settings.device)))
        return StandInGraphPlayer(settings, out / GRAPHS)

    return play_missing(settings, names, out, command, player)


class StandInGraphPlayer:
    """Plays episodes; a graph is kept while the next one is of the same task, rule and latency.

    Args:
        folder: for its logs, the newest graph's of each task, rule and latency.
    """

    def __init__(self, settings: GraphBenchSettings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._stack = ExitStack()
        self._graph: StandInGraph | None = None
        self._kind: tuple[str, int, str, float] | None = None

    def play(self, name: EpisodeName) -> dict[str, Any]:
        """One episode as a record. Raises: RuntimeError: the graph does not come up, or a node dies."""
        begin, graph = time.monotonic(), self._graph_of(name)
        graph.begin(*EpisodeSettings(tasks_from=self._settings.tasks_from).start(name.number))
        operator = graph.operator
        operator.statuses[:] = operator.statuses[-1:]
        operator.reports.clear()
        longest = PLANNING + PATIENCE * self._settings.horizon / graph.rate
        result = graph.execute(time.monotonic() + longest)
        status = operator.statuses[-1]
        times = sorted(report.inference_time for report in operator.reports)
        return asdict(name) | {
            "success": status.success,
            "steps": status.step,
            "why": "given up" if result is None else ErrorCode(result.error_code).name,
            "idle": round(idle_share(operator.statuses), 4),
            "inference_s": round(times[len(times) // 2], 4) if times else None,
            "wall_s": round(time.monotonic() - begin, 2),
        }

    def _graph_of(self, name: EpisodeName) -> StandInGraph:
        kind = name.suite, name.task, name.rule, name.latency
        if kind != self._kind:
            self.close()
            folder = self._folder / f"{name.suite}_{name.task}_{name.rule}_{1000 * name.latency:.0f}ms"
            self._graph = self._stack.enter_context(running_graph(self._config(name, folder), folder))
            self._kind = kind
        return self._graph

    def _config(self, name: EpisodeName, folder: Path) -> RealConfig:
        settings = self._settings
        told = {
            "bridge": {"joining": name.rule, "inference_time": settings.inference_time + name.latency},
            "policy": {"added_latency": name.latency, "device": settings.device},
        }
        return RealConfig(
            robot=settings.robot,
            driver=DRIVER,
            tasks_from=settings.tasks_from,
            suite=name.suite,
            task=name.task,
            policy=settings.policy,
            horizon=settings.horizon,
            params_file=str(parameter_file(folder, told)),
        )

    def close(self) -> None:
        self._kind = self._graph = None
        self._stack.close()

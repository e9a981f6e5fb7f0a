"""``./substep bench pace``: how steadily a graph commands the stand-in robot, and what its processes occupy.

Tasks are carried out one after the other until the time is over. Only commands under a task count: between two the
scene is put back, and nothing is sent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from substep_bringup.graph_config import RealConfig
from substep_bringup.session.bag_stats import bag_stats
from substep_standin.settings import DRIVER
from training.bench.recording import MIB, Memory
from training.bench.robot.graph import StandInGraph, idle_share, parameter_file, running_graph
from training.bench.robot.settings import PaceSettings
from training.evaluation.provenance import provenance
from training.evaluation.settings import EpisodeSettings

LOOK = 1.0  # s between two looks at the processes
EPISODES = 50  # starts that are gone through again and again


@dataclass(frozen=True)
class CommandPace:
    """Of commands under a task.

    Attributes:
        commands: that have left.
        missed: control periods without one.
        jitter: ms by which the time from a command's stamp to the next one's departs from the control period: median,
            99th percentile and largest.
        heard: the same of their arrival in this process, which waits for a processor too.
    """

    commands: int
    missed: int
    jitter: tuple[float, float, float]
    heard: tuple[float, float, float]

    @property
    def missed_share(self) -> float:
        return self.missed / max(1, self.commands + self.missed)


@dataclass(frozen=True)
class ProcessFigures:
    """One process: MiB over time, and its share of a processor."""

    memory: Memory
    processor: float


@dataclass(frozen=True)
class BagSize:
    """MiB of files for each minute; messages in them, and those that the recorder had no room for."""

    files: float
    messages: int
    dropped: int


@dataclass(frozen=True)
class PaceFigures:
    """All of one run. seconds: that were under a task; tasks: their results, by name of the error."""

    settings: PaceSettings
    made: dict[str, Any]
    rate: float
    seconds: float
    tasks: tuple[str, ...]
    idle: float
    pace: CommandPace
    processes: dict[str, ProcessFigures]
    bag: BagSize | None

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def __str__(self) -> str:
        told, pace, machine = self.settings, self.pace, self.made["machine"]
        lines = [
            f"{told.suite} {told.task}, policy {told.policy}, {told.joining}, {told.minutes:g} minutes"
            f"{', recorded' if told.record else ''}; {machine['processor']}, {machine['cores']} cores, "
            f"commit {self.made['commit']}",
            f"  {len(self.tasks)} tasks ({', '.join(self.tasks)}), {self.seconds:.0f} s under a task",
            f"  {pace.commands} commands at {self.rate:g} Hz, {pace.missed} missed ({100 * pace.missed_share:.3f} %); "
            f"standing still for want of a chunk {100 * self.idle:.1f} %",
            f"  jitter of stamps {_told(pace.jitter)}; as heard {_told(pace.heard)}",
        ]
        for name, process in self.processes.items():
            series = process.memory.series
            lines.append(
                f"  {name:<14} {series[0]:.0f} to {series[-1]:.0f} MiB, after the first fifth "
                f"{process.memory.slope:+.2f} MiB a minute; {100 * process.processor:.0f} % of a processor"
            )
        if self.bag is not None:
            bag = self.bag
            lines.append(f"  bag: {bag.files:.1f} MiB a minute, {bag.messages} messages, {bag.dropped} dropped")
        return "\n".join(lines)


def benchmark(settings: PaceSettings, folder: Path, command: str) -> PaceFigures:
    """One run. Args: folder: for logs and the bag; command: that was typed.

    Raises:
        RuntimeError: the graph does not come up, or a node dies.
    """
    told = {
        "bridge": {"joining": settings.joining, "inference_time": settings.inference_time},
        "policy": {"device": settings.device},
    }
    config = RealConfig(
        robot=settings.robot,
        driver=DRIVER,
        tasks_from=settings.tasks_from,
        suite=settings.suite,
        task=settings.task,
        policy=settings.policy,
        horizon=settings.horizon,
        record=settings.record,
        params_file=str(parameter_file(folder, told)),
    )
    with running_graph(config, folder) as graph:
        measurement = _Measurement(settings, graph)
        measurement.run()
        if settings.record:
            graph.finish_bag()
        bag = _bag_size(graph.bag, measurement.lasted) if settings.record else None
        return PaceFigures(
            settings=settings,
            made=provenance(command),
            rate=graph.rate,
            seconds=round(sum(stretch.seconds for stretch in measurement.stretches), 1),
            tasks=tuple(stretch.result for stretch in measurement.stretches),
            idle=idle_of(measurement.stretches),
            pace=command_pace([stretch.commands for stretch in measurement.stretches], graph.rate),
            processes=measurement.processes(),
            bag=bag,
        )


@dataclass(frozen=True)
class PaceStretch:
    """One task. commands: (stamp, arrival) in ns of each; idle: share of its time that the arm waited for a chunk."""

    commands: Sequence[tuple[int, int]]
    seconds: float
    idle: float
    result: str


class _Measurement:
    """Tasks one after the other, and a look at the processes again and again."""

    def __init__(self, settings: PaceSettings, graph: StandInGraph) -> None:
        self._settings, self._graph = settings, graph
        self._watched = {name: psutil.Process(process.pid) for name, process in graph.processes.items()}
        self._sizes: dict[str, list[float]] = {name: [] for name in self._watched}
        self.stretches: list[PaceStretch] = []

    def run(self) -> None:
        starts = EpisodeSettings(tasks_from=self._settings.tasks_from)
        self._begun = self._looked = time.monotonic()
        self._used = self._processor_times()
        until = self._begun + 60 * self._settings.minutes
        self._look()
        number = 0
        while time.monotonic() < until:
            self._graph.begin(*starts.start(number % EPISODES))
            self.stretches.append(self._carry_out(until))
            number += 1
        self.lasted = time.monotonic() - self._begun
        self._used = {name: used - self._used[name] for name, used in self._processor_times().items()}

    def _carry_out(self, until: float) -> PaceStretch:
        operator = self._graph.operator
        operator.commands.clear()
        operator.statuses[:] = operator.statuses[-1:]
        begin = time.monotonic()
        result = self._graph.execute(until, self._look_again)
        name = "over" if result is None else "success" if result.success else str(result.error_code)
        return PaceStretch(list(operator.commands), time.monotonic() - begin, idle_share(operator.statuses), name)

    def _look_again(self) -> None:
        if time.monotonic() - self._looked >= LOOK:
            self._look()

    def _look(self) -> None:
        self._looked = time.monotonic()
        for name, process in self._watched.items():
            self._sizes[name].append(process.memory_info().rss / MIB)

    def _processor_times(self) -> dict[str, float]:
        return {name: sum(process.cpu_times()[:2]) for name, process in self._watched.items()}

    def processes(self) -> dict[str, ProcessFigures]:
        return {
            name: ProcessFigures(memory_of(sizes, self.lasted), round(self._used[name] / self.lasted, 3))
            for name, sizes in self._sizes.items()
        }


def idle_of(stretches: Sequence[PaceStretch]) -> float:
    """Share of the time under all tasks."""
    idle, seconds = zip(*((stretch.idle, stretch.seconds) for stretch in stretches), strict=True)
    return float(np.average(idle, weights=seconds))


def memory_of(sizes: Sequence[float], seconds: float) -> Memory:
    """A value each tenth of the time."""
    tenths = [sizes[round(place * (len(sizes) - 1) / 10)] for place in range(11)]
    return Memory(seconds, tuple(round(value, 1) for value in tenths))


def command_pace(stretches: Sequence[Sequence[tuple[int, int]]], rate: float) -> CommandPace:
    """Args: stretches: (stamp, arrival) in ns of the commands under each task; rate: Hz at which they are to come."""
    stamped = np.array(list(_intervals(stretches, 0))) * rate
    heard = np.array(list(_intervals(stretches, 1))) * rate
    if not len(stamped):
        raise RuntimeError("no two commands have left under a task")
    missed = int(np.maximum(0, np.round(stamped) - 1).sum())
    commands = sum(map(len, stretches))
    return CommandPace(commands, missed, _jitter(stamped, rate), _jitter(heard, rate))


def _intervals(stretches: Sequence[Sequence[tuple[int, int]]], which: int) -> Iterator[float]:
    """s between two commands of one task."""
    for commands in stretches:
        yield from np.diff([command[which] for command in commands]) / 1e9


def _jitter(periods: np.ndarray, rate: float) -> tuple[float, float, float]:
    """Args: periods: (N,) times between commands, in control periods."""
    off = 1000 / rate * np.abs(periods - np.maximum(1, np.round(periods)))
    return tuple(round(float(value), 3) for value in (*np.quantile(off, (0.5, 0.99)), off.max()))


def _told(values: tuple[float, float, float]) -> str:
    return "median {:.2f}, p99 {:.2f}, largest {:.2f} ms".format(*values)


def _bag_size(folder: Path, seconds: float) -> BagSize:
    """Raises: RuntimeError: the recorder has not finished it."""
    stats = bag_stats(folder, "")
    if stats.problem:
        raise RuntimeError(f"the bag cannot be read: {stats.problem}")
    files = sum(file.stat().st_size for file in folder.glob("*.mcap"))
    return BagSize(round(files / MIB / (seconds / 60), 2), stats.messages, stats.dropped)

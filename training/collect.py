"""Records demonstrations of the scripted expert: ``./substep collect --out data/demonstrations``.

Every episode is a function of the seed, its task and its number, so a collection that is stopped goes on where it was,
with any number of workers, and ends in the same files: LIBERO's HDF5 layout, substep labels (S2) and plans (S1).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import queue
import sys
import zlib
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
from pydantic import Field
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import SUITES, LiberoTask, load_task, task_names
from substep_planner.decomposers.library import find_plan, shipped_library
from substep_planner.plan import Plan, write_library
from substep_policy.configuration import configuration, dump, parse
from substep_policy.registry import POLICIES, PolicySettings
from training.disturbances import Variation, check_novice
from training.evaluation.settings import fingerprint
from training.folder_lock import alone_in
from training.labels import LABELS_FILE, SubstepLabels
from training.recording import draw_start, record_episode
from training.recording_files import labels_of, load_recording, save_recording, task_file, write_task_file
from training.splits import SPLITS
from training.whole_file import write_whole
from training.workers import end_with_parent, started_manager

DEFAULT_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
SETTINGS_FILE = "collection.json"
PLANS_FILE = "APD_plans.json"
# What the command line varies.
VARIATIONS = ("widened", "noise", "disturbance", "novice", "novice_chunks", "novice_lets_go", "missed_grasp", "split")


@configuration
class CollectionSettings:
    """What makes a data set. The same settings give the same demonstrations.

    Attributes:
        per_task: demonstrations kept of each task, the first successes in the order of their numbers.
        attempts: episodes tried for a task before it is left with fewer, as a multiple of ``per_task``.
        policy: who demonstrates.
        novice_fingerprint: of the checkpoint that disturbs, see ``variation.novice``; empty for none.
        assets: the simulated world's look, see ``SimulationConfig``.
    """

    per_task: int = Field(default=40, ge=1)
    attempts: float = Field(default=3.0, ge=1)
    seed: int = Field(default=0, ge=0)
    policy: str = "demonstrator"
    assets: str = "embedded"
    variation: Variation = Variation()
    novice_fingerprint: str = ""


@dataclass(frozen=True)
class TaskJob:
    """One task to collect."""

    suite: str
    index: int
    out: Path
    settings: CollectionSettings

    @property
    def task(self) -> LiberoTask:
        return load_task(self.suite, self.index)

    @property
    def folder(self) -> Path:
        """Where its episodes wait for being packed."""
        return self.out / "episodes" / self.suite / self.task.name

    @property
    def limit(self) -> int:
        return int(self.settings.per_task * self.settings.attempts)

    def episode_seed(self, number: int) -> tuple[int, ...]:
        return self.settings.seed, zlib.crc32(self.suite.encode()), self.index, number


@dataclass(frozen=True)
class TaskOutcome:
    """Episodes kept, and reasons of those that failed."""

    job: TaskJob
    kept: int
    failures: tuple[str, ...]


def plan_of(task: LiberoTask) -> Plan:
    """The shipped plan. Raises: ValueError: there is none."""
    found = find_plan(shipped_library(), task.instruction, task.suite)
    if found is None:
        raise ValueError(f"{task.suite} task {task.index}: no plan for {task.instruction!r}")
    return found[1]


def collect_task(job: TaskJob, progress: Any = None) -> TaskOutcome:
    """Collect one task's episodes, those that are there already not again, and pack them.

    Args:
        progress: a queue that gets the job's place for every episode kept.
    """
    task, plan = job.task, plan_of(job.task)
    job.folder.mkdir(parents=True, exist_ok=True)
    simulation: Simulation | None = None
    kept: list[Path] = []
    failures: list[str] = []
    for number in range(job.limit):
        path = job.folder / f"{number:05d}.npz"
        failure = path.with_suffix(".txt")
        if not path.exists() and not failure.exists():
            simulation = simulation or _build(job)
            _attempt(job, simulation, plan, number, path, failure)
        if path.exists():
            kept.append(path)
            if progress is not None:
                progress.put((job.suite, job.index))
        else:
            failures.append(failure.read_text())
        if len(kept) == job.settings.per_task:
            break
    if simulation is not None:
        simulation.close()
    recordings = [load_recording(path) for path in kept]
    write_task_file(task_file(job.out, job.suite, task.name), task, recordings)
    return TaskOutcome(job, len(kept), tuple(failures))


def _build(job: TaskJob) -> Simulation:
    return Simulation(SimulationConfig(job.suite, job.index, assets=job.settings.assets, render=False))


def _attempt(job: TaskJob, simulation: Simulation, plan: Plan, number: int, path: Path, failure: Path) -> None:
    """One episode: leaves a recording, or a text with the reason why there is none."""
    start = draw_start(job.settings.variation, job.episode_seed(number))
    policy = POLICIES.load(job.settings.policy, PolicySettings(device="cpu", seed=start.seed))
    recording, result = record_episode(simulation, policy, plan.substeps, start, job.settings.variation)
    if recording is not None:
        save_recording(path, recording)
        return
    last = result.substeps[-1]
    reason = f"{last.instruction!r} ended with {last.reason} after {last.steps} steps {last.message}"
    write_whole(failure, reason if last.reason != "eos" else "the plan was carried out without LIBERO's success")


def write_labels(out: Path, settings: CollectionSettings) -> None:
    """Substep labels and plans of every task that is packed in ``out``."""
    labels = SubstepLabels()
    plans: dict[str, dict[str, Plan]] = {}
    for suite in SUITES:
        for index, name in enumerate(task_names(suite)):
            file = task_file(out, suite, name)
            if not file.exists():
                continue
            job = TaskJob(suite, index, out, settings)
            with h5py.File(file) as content:
                count = int(content["data"].attrs["num_demos"])
            for number, path in enumerate(sorted(job.folder.glob("*.npz"))[:count]):
                labels.add(suite, name, f"episode_{number}", labels_of(load_recording(path), job.task.instruction))
            plans.setdefault(suite, {})[job.task.instruction] = plan_of(job.task)
    labels.save(out / LABELS_FILE)
    write_library(out / PLANS_FILE, plans)


def claim(out: Path, settings: CollectionSettings) -> None:
    """Keep the settings with the data; only how many demonstrations there are may change later.

    Raises:
        ValueError: the folder was made with other settings.
    """
    path = out / SETTINGS_FILE
    if path.exists():
        before = parse(CollectionSettings, json.loads(path.read_text()), str(path))
        if before != replace(settings, per_task=before.per_task, attempts=before.attempts):
            raise ValueError(f"{out} was collected with {before}: take another folder, or the same settings")
    write_whole(path, json.dumps(dump(settings), indent=2) + "\n")


def collect(jobs: Sequence[TaskJob], workers: int) -> list[TaskOutcome]:
    """Collect tasks in ``workers`` processes with a progress bar."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent)
    outcomes: list[TaskOutcome] = []
    with started_manager() as manager, pool, _progress_bar() as bar:
        kept = manager.Queue()
        shown = bar.add_task("demonstrations", total=sum(job.settings.per_task for job in jobs))
        pending: set[Future[TaskOutcome]] = {pool.submit(collect_task, job, kept) for job in jobs}
        while pending:
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            bar.advance(shown, _drain(kept))
            for future in done:
                outcomes.append(future.result())
                bar.console.print(describe(outcomes[-1]), soft_wrap=True, markup=False, highlight=False)
        bar.advance(shown, _drain(kept))
    return sorted(outcomes, key=lambda outcome: (outcome.job.suite, outcome.job.index))


def _progress_bar() -> Progress:
    times = TimeElapsedColumn(), TimeRemainingColumn()
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *times)


def _drain(items: Any) -> int:
    count = 0
    while True:
        try:
            items.get_nowait()
        except queue.Empty:
            return count
        count += 1


def describe(outcome: TaskOutcome) -> str:
    """One line about a task, and the commonest reason of its failures."""
    tried = outcome.kept + len(outcome.failures)
    text = f"{outcome.job.suite} {outcome.job.index}: {outcome.kept} kept of {tried} tried"
    if not outcome.failures:
        return text
    common = max(set(outcome.failures), key=outcome.failures.count)
    return f"{text}; most often: {common}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 when a task has fewer demonstrations than asked for, or on an error."""
    options = _parser().parse_args(arguments)
    try:
        settings = _settings(options)
        suites = {suite: options.tasks or range(len(task_names(suite))) for suite in options.suites}
        jobs = [TaskJob(suite, index, options.out, settings) for suite, tasks in suites.items() for index in tasks]
        for job in jobs:
            plan_of(job.task)
        if settings.variation.novice:
            check_novice(settings.variation.novice)  # one that cannot be had is noticed before anything is written
        with alone_in(options.out):
            claim(options.out, settings)
            outcomes = collect(jobs, options.workers)
            write_labels(options.out, settings)
    except (ValueError, OSError) as error:
        print(f"collect: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("collect: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    kept, wanted = sum(outcome.kept for outcome in outcomes), len(jobs) * settings.per_task
    print(f"{kept} of {wanted} demonstrations of {len(jobs)} tasks in {options.out}")
    return 0 if kept == wanted else 1


def _settings(options: argparse.Namespace) -> CollectionSettings:
    variation = {name: getattr(options, name) for name in VARIATIONS}
    names = ("per_task", "attempts", "seed", "policy", "assets")
    values = {name: getattr(options, name) for name in names} | {"variation": variation}
    return parse(CollectionSettings, values | {"novice_fingerprint": fingerprint(options.novice)}, "command line")


def _parser() -> argparse.ArgumentParser:
    default, variation = CollectionSettings(), Variation()
    parser = argparse.ArgumentParser(
        prog="substep collect", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--suites", nargs="+", default=list(DEFAULT_SUITES), metavar="SUITE", help="whose tasks")
    parser.add_argument("--tasks", nargs="+", type=int, metavar="INDEX", help="of each suite; all when left out")
    parser.add_argument("--per-task", type=int, default=default.per_task, help="demonstrations to keep of each task")
    parser.add_argument("--attempts", type=float, default=default.attempts, help="episodes tried, times --per-task")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, default=default.seed, help="of everything drawn")
    parser.add_argument("--policy", default=default.policy, help="who demonstrates")
    parser.add_argument("--assets", default=default.assets, help="embedded, libero, or a folder")
    parser.add_argument("--widened", type=float, default=variation.widened, help="share of widened placements")
    parser.add_argument("--noise", type=float, default=variation.noise, help="largest deviation of action noise")
    parser.add_argument("--disturbance", type=float, default=variation.disturbance, help="chance of one per chunk")
    parser.add_argument(
        "--novice", default=variation.novice, help="policy or checkpoint that disturbs instead of random motions"
    )
    parser.add_argument(
        "--novice-chunks",
        nargs=2,
        type=int,
        default=variation.novice_chunks,
        metavar=("FEWEST", "MOST"),
        help="how many it plays at a time; where it hangs shows only after many",
    )
    parser.add_argument(
        "--novice-lets-go",
        type=float,
        default=variation.novice_lets_go,
        help="chance in a substep that it is not stopped before it lets go of what it holds",
    )
    parser.add_argument(
        "--missed-grasp", type=float, default=variation.missed_grasp, help="chance that a grasp is made to miss"
    )
    parser.add_argument("--split", default=variation.split, choices=tuple(SPLITS), help="which starts and seeds")
    return parser


if __name__ == "__main__":
    sys.exit(main())

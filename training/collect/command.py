"""Records demonstrations of the scripted expert: ``./substep data collect --out data/demonstrations``.

Every episode is a function of the seed, its task and its number, so a collection that is stopped goes on where it was,
with any number of workers, and ends in the same files: LIBERO's HDF5 layout, substep labels and plans.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
from tqdm import tqdm

from libero_bridge.placement import NoRoomError
from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import LiberoTask, libero_task
from substep_core.configuration import dump, parse
from substep_core.errors import PlanningError
from substep_core.plan import Plan, write_library
from substep_core.policy_source import fingerprint
from substep_core.tasks import Task, absolute_tasks_from
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.registry import DEFAULT_ORDER, DecomposerSettings, load_decomposers
from substep_policy.registry import POLICIES, PolicySettings
from training.collect.recording import HORIZON, HORIZON_WITH_NOVICE, draw_start, record_episode
from training.collect.recording_files import labels_of, load_recording, save_recording, task_file, write_task_file
from training.collect.settings import CollectionSettings
from training.collect.variations import check_novice
from training.folder_lock import alone_in
from training.labels.file import LABELS_FILE, SubstepLabels
from training.whole_file import write_whole
from training.workers import process_pool, started_manager, waiting_in

SETTINGS_FILE = "collection.json"
PLANS_FILE = "APD_plans.json"


@dataclass(frozen=True)
class TaskJob:
    """One task to collect."""

    suite: str
    index: int
    out: Path
    settings: CollectionSettings

    @property
    def task(self) -> LiberoTask:
        return libero_task(self.settings.tasks_from, self.suite, self.index)

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
class CollectionOutcome:
    """Episodes kept, and reasons of those that failed."""

    job: TaskJob
    kept: int
    failures: tuple[str, ...]


def plan_of(task: Task) -> Plan:
    """The shipped plan, or what the rules make of the instruction. Raises: ValueError: neither has one."""
    decomposers = load_decomposers(DEFAULT_ORDER, DecomposerSettings())
    try:
        return decompose(PlanRequest(task.instruction, task.suite), decomposers).sourced.plan
    except PlanningError as error:
        raise ValueError(f"{task.suite} task {task.index}: {error}") from error


def collect_task(job: TaskJob, progress: Any = None) -> CollectionOutcome:
    """Collect one task's episodes, those that are there already not again, and pack them.

    Args:
        progress: a queue that gets the job's place for every episode kept.
    """
    task = job.task
    job.folder.mkdir(parents=True, exist_ok=True)
    simulation: Simulation | None = None
    kept: list[Path] = []
    failures: list[str] = []
    for number in range(job.limit):
        path = job.folder / f"{number:05d}.npz"
        failure = path.with_suffix(".txt")
        if not path.exists() and not failure.exists():
            simulation = simulation or _build(job)
            _attempt(job, simulation, number, path, failure)
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
    write_task_file(task_file(job.out, job.suite, task.name), job.settings.tasks_from, task, recordings)
    return CollectionOutcome(job, len(kept), tuple(failures))


def _build(job: TaskJob) -> Simulation:
    settings = job.settings
    horizon = HORIZON_WITH_NOVICE if settings.variation.novice else HORIZON
    return Simulation(
        SimulationConfig(
            job.suite,
            job.index,
            assets=settings.assets,
            horizon=horizon,
            render=False,
            tasks_from=settings.tasks_from,
        )
    )


def _attempt(job: TaskJob, simulation: Simulation, number: int, path: Path, failure: Path) -> None:
    """One episode: leaves a recording, or a text with the reason why there is none."""
    variation = job.settings.variation
    start = draw_start(variation, job.settings.source.splits[variation.split], job.episode_seed(number))
    own = PolicySettings(device="cpu", seed=start.seed)
    policy = POLICIES.load(job.settings.policy, POLICIES.settings_for(job.settings.policy, own, job.suite))
    try:
        recording, result = record_episode(simulation, policy, start, variation)
    except NoRoomError as error:
        write_whole(failure, f"{start.placement.value} placement: {error}")
        return
    if recording is not None:
        save_recording(path, recording)
        return
    without_success = "the plan was carried out without LIBERO's success"
    write_whole(failure, without_success if result.finish.success else result.finish.message)


def write_labels(out: Path, settings: CollectionSettings) -> None:
    """Substep labels and plans of every task that is packed in ``out``."""
    labels = SubstepLabels()
    plans: dict[str, dict[str, Plan]] = {}
    for suite in settings.source.suites:
        for index, name in enumerate(settings.source.names(suite)):
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


def collect_tasks(
    settings: CollectionSettings, tasks: Iterable[tuple[str, int]], out: Path, workers: int
) -> list[CollectionOutcome]:
    """Collect (suite, task index) pairs into a folder, with labels and plans of all that is there then.

    Raises:
        ValueError: a task or its plan does not exist, LIBERO's world does not know it, the novice cannot be had, or the
            folder has other settings.
    """
    settings = replace(
        settings,
        novice_fingerprint=fingerprint(settings.variation.novice),
        tasks_from=absolute_tasks_from(settings.tasks_from),
    )
    jobs = [TaskJob(suite, index, out, settings) for suite, index in tasks]
    for job in jobs:
        plan_of(job.task)
    if not settings.source.splits[split := settings.variation.split].init_states:
        raise ValueError(f"task source {settings.tasks_from!r} has no initial states for {split}")
    if settings.variation.novice:
        # One that cannot be had is noticed before anything is written.
        check_novice(settings.variation.novice, jobs[0].suite)
    with alone_in(out):
        claim(out, settings)
        outcomes = collect(jobs, workers)
        write_labels(out, settings)
    return outcomes


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


def collect(jobs: Sequence[TaskJob], workers: int) -> list[CollectionOutcome]:
    """Collect tasks in ``workers`` processes with a progress bar."""
    outcomes: list[CollectionOutcome] = []
    total = sum(job.settings.per_task for job in jobs)
    with started_manager() as manager, process_pool(workers) as pool, tqdm(total=total, unit="demo") as bar:
        kept = manager.Queue()
        pending: set[Future[CollectionOutcome]] = {pool.submit(collect_task, job, kept) for job in jobs}
        while pending:
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for _ in waiting_in(kept):
                bar.update()
            for future in done:
                outcomes.append(future.result())
                bar.write(describe(outcomes[-1]))
        for _ in waiting_in(kept):
            bar.update()
    return sorted(outcomes, key=lambda outcome: (outcome.job.suite, outcome.job.index))


def describe(outcome: CollectionOutcome) -> str:
    """One line about a task, and the commonest reason of its failures."""
    tried = outcome.kept + len(outcome.failures)
    text = f"{outcome.job.suite} {outcome.job.index}: {outcome.kept} kept of {tried} tried"
    if not outcome.failures:
        return text
    common = max(set(outcome.failures), key=outcome.failures.count)
    return f"{text}; most often: {common}"

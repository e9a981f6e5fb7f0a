"""Plays jobs in several processes and hands their records over one by one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.evaluation.episodes import Job
from training.evaluation.task_kind import kind_of
from training.workers import process_pool, started_manager, waiting_in

# Jobs a process, then a fresh one: every simulated world leaves some memory behind in MuJoCo and robosuite.
# ProcessPoolExecutor's max_tasks_per_child would do without batches, but hangs above 1 up to Python 3.13
# (https://github.com/python/cpython/issues/115634), and each process takes seconds to import and load the policy.
JOBS_PER_PROCESS = 10
POLL = 0.3  # s

Record = dict[str, Any]


def play(jobs: Sequence[Job], folder: Path, workers: int, finished: Callable[[Record], None]) -> None:
    """Play every job.

    Args:
        folder: of the results; gets videos and the graph's runs.
        finished: told of every episode's record, in this process.

    Raises:
        ChildProcessError: a process died.
        Exception: whatever an episode raised.
    """
    size = workers * JOBS_PER_PROCESS
    with started_manager() as manager:
        line = Line(manager.Queue(), manager.Event())
        for batch in (jobs[first : first + size] for first in range(0, len(jobs), size)):
            with process_pool(min(workers, len(batch)), _prepare) as pool:
                pending = {pool.submit(play_job, job, folder, line) for job in batch}
                try:
                    _follow(pending, line, finished)
                finally:
                    line.stop.set()
                    wait([future for future in pending if not future.cancel()])  # what is being played is played on
                    for record in waiting_in(line.records):
                        finished(record)
            line.stop.clear()


def _follow(pending: set[Future[None]], line: Line, finished: Callable[[Record], None]) -> None:
    while pending:
        done, pending = wait(pending, timeout=POLL, return_when=FIRST_COMPLETED)
        for record in waiting_in(line.records):
            finished(record)
        for future in done:
            future.result()


@dataclass(frozen=True)
class Line:
    """Between this process and its workers.

    Attributes:
        records: a queue.
        stop: an event: no episode is begun any more.
    """

    records: Any
    stop: Any


def play_job(job: Job, folder: Path, line: Line) -> None:
    """Play the episodes of a job."""
    kind = kind_of(job.settings, job.suite, job.task)
    player = _player(job, folder)
    try:
        for key in job.episodes:
            if line.stop.is_set():
                return
            line.records.put(player.play(key, key in job.filmed) | kind)
    finally:
        player.close()


def _player(job: Job, folder: Path):
    if job.settings.through == "graph":
        from training.evaluation.through_graph import GraphPlayer

        return GraphPlayer(job.settings, folder, job.recorded)
    from training.evaluation.in_process import InProcessPlayer
    from training.evaluation.records import VIDEOS_FOLDER

    return InProcessPlayer(job.settings, job.suite, job.task, folder / VIDEOS_FOLDER)


def _prepare() -> None:
    """One thread a process: the processes share the cores among them. Ctrl-C is the main process's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

"""Plays jobs in several processes and hands their records over one by one."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.evaluation.episodes import Job
from training.workers import end_with_parent, started_manager

JOBS_PER_PROCESS = 10  # then a fresh one: every simulated world leaves some memory behind in MuJoCo and robosuite
POLL = 0.3  # s

Record = dict[str, Any]


def play(jobs: Sequence[Job], folder: Path, workers: int, finished: Callable[[Record], None]) -> None:
    """Play every job.

    Args:
        folder: of the results; gets videos and the graph's runs.
        finished: told of every episode's record, in this process.

    Raises:
        BrokenProcessPool: a process died.
        Exception: whatever an episode raised.
    """
    context = multiprocessing.get_context("spawn")
    size = workers * JOBS_PER_PROCESS
    with started_manager() as manager:
        line = Line(manager.Queue(), manager.Event())
        for batch in (jobs[first : first + size] for first in range(0, len(jobs), size)):
            with ProcessPoolExecutor(min(workers, len(batch)), mp_context=context, initializer=_prepare) as pool:
                pending = {pool.submit(play_job, job, folder, line) for job in batch}
                try:
                    _follow(pending, line, finished)
                finally:
                    line.stop.set()
                    wait([future for future in pending if not future.cancel()])  # what is being played is played on
                    for record in line.take():
                        finished(record)
            line.stop.clear()


def _follow(pending: set[Future[None]], line: Line, finished: Callable[[Record], None]) -> None:
    while pending:
        done, pending = wait(pending, timeout=POLL, return_when=FIRST_COMPLETED)
        for record in line.take():
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

    def take(self) -> Iterator[Record]:
        """The records that have come."""
        while True:
            try:
                yield self.records.get_nowait()
            except queue.Empty:
                return


def play_job(job: Job, folder: Path, line: Line) -> None:
    """Play the episodes of a job."""
    player = _player(job, folder)
    try:
        for key in job.episodes:
            if line.stop.is_set():
                return
            line.records.put(player.play(key, key in job.filmed))
    finally:
        player.close()


def _player(job: Job, folder: Path):
    if job.settings.through == "graph":
        from training.evaluation.through_graph import GraphPlayer

        return GraphPlayer(job.settings, folder)
    from training.evaluation.in_process import InProcessPlayer
    from training.evaluation.records import VIDEOS_FOLDER

    return InProcessPlayer(job.settings, job.suite, job.task, folder / VIDEOS_FOLDER)


def _prepare() -> None:
    """One thread a process: the processes share the cores among them. Ctrl-C is the main process's affair."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    end_with_parent()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

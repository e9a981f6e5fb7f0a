"""Plays jobs in several processes and hands their records over one by one."""

from __future__ import annotations

import gc
import importlib
import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from training.evaluation.episodes import Job
from training.evaluation.task_kind import kind_of
from training.workers import process_pool, started_manager, waiting_in

# Bytes that a process may grow by after its first job before it makes room for a fresh one, which needs seconds to
# import and to load the policy. Worlds leave some memory behind in MuJoCo and robosuite, most of them about 1 MiB.
GROWTH = 1 << 30
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
    waiting = deque(jobs)
    with started_manager() as manager:
        line = Line(manager.Queue(), manager.Event())
        while waiting:
            with process_pool(min(workers, len(waiting)), _prepare) as pool:
                _play_until_grown(waiting, pool, workers, folder, line, finished)


def _play_until_grown(
    waiting: deque[Job],
    pool: ProcessPoolExecutor,
    workers: int,
    folder: Path,
    line: Line,
    finished: Callable[[Record], None],
) -> None:
    """Play jobs until none is left, or until a process has grown too large."""
    pending: set[Future[int]] = set()
    grown = False
    try:
        while pending or waiting and not grown:
            while waiting and not grown and len(pending) < workers:
                pending.add(pool.submit(play_job, waiting.popleft(), folder, line))
            done, pending = wait(pending, timeout=POLL, return_when=FIRST_COMPLETED)
            for record in waiting_in(line.records):
                finished(record)
            for future in done:
                grown |= future.result() > GROWTH
    except BaseException:
        line.stop.set()
        raise
    finally:
        wait(pending)  # what is being played is played on
        for record in waiting_in(line.records):
            finished(record)


@dataclass(frozen=True)
class Line:
    """Between this process and its workers.

    Attributes:
        records: a queue.
        stop: an event: no episode is begun any more.
    """

    records: Any
    stop: Any


def play_job(job: Job, folder: Path, line: Line) -> int:
    """Play the episodes of a job; by how many bytes the process has grown since the end of its first one."""
    kind = kind_of(job.settings, job.suite, job.task)
    player = _player(job, folder)
    try:
        for key in job.episodes:
            if line.stop.is_set():
                break
            line.records.put(player.play(key, key in job.filmed) | kind)
    finally:
        player.close()
    return memory_growth()


def memory_growth() -> int:
    """Bytes that this process has grown by since this was first asked."""
    return _own_memory() - _memory_after_first_job()


@cache
def _memory_after_first_job() -> int:
    return _own_memory()


def _own_memory() -> int:
    return psutil.Process().memory_info().rss


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

    importlib.import_module("training.evaluation.in_process")
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    gc.freeze()  # what is loaded stays: Python need not look through it whenever a world ends

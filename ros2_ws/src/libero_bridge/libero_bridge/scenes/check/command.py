"""`./substep scenes check`: the check of all tasks, in parallel, as a table and as JSON."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from libero_bridge.scenes.check.task import TaskCheck, TaskReport, check_task
from substep_core.tasks import TaskSource, check_task_index, task_source

COLUMNS = "suite           task  states  slid  crept  drop   rise  tipped  goals"


def check_all(
    tasks_from: str,
    suites: Sequence[str],
    tasks: Sequence[int] | None,
    states: int | None,
    assets: str,
    workers: int,
    json_file: Path | None,
) -> bool:
    """Check tasks in parallel and print the table; -> whether all pass.

    Args:
        tasks_from: the task source.
        suites: its suites; none: all.
        tasks: of each suite; None: all.
        states: initial states per task; None: all, or 50 that are drawn.
        json_file: also gets the report.

    Raises:
        ValueError: there is no such task.
    """
    started = time.monotonic()
    source = task_source(tasks_from)
    chosen = _chosen(source, suites or source.suites, tasks)
    checks = [TaskCheck(suite, index, assets, states, tasks_from) for suite, index in chosen]
    reports = sorted(_run(checks, workers), key=lambda report: (source.suites.index(report.suite), report.index))
    print(table(reports))
    failed = [report for report in reports if report.problems()]
    print(f"{len(reports) - len(failed)} of {len(reports)} tasks pass ({time.monotonic() - started:.0f} s)")
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps([report.as_dict() for report in reports], indent=1) + "\n")
    return not failed


def _chosen(source: TaskSource, suites: Sequence[str], tasks: Sequence[int] | None) -> Iterator[tuple[str, int]]:
    for suite in suites:
        count = len(source.names(suite))
        for index in tasks or range(count):
            check_task_index(suite, index, count)
            yield suite, index


def table(reports: Sequence[TaskReport]) -> str:
    """One line per task (mm, degrees), and its problems below it."""
    lines = [COLUMNS]
    for report in reports:
        line = f"{report.suite:15s} {report.index:4d}"
        if report.settling is not None:
            settling = report.settling
            moved = (settling.slid, settling.crept, settling.dropped, settling.raised)
            line += f"  {settling.states:6d}" + "".join(f" {value * 1000:6.1f}" for value in moved)
            line += f"  {settling.tipped:5.1f}  {sum(report.goals.values())}/{len(report.goals)}"
        lines.append(f"{line}  {report.name}")
        lines += [f"{'':22s}FAIL {problem}" for problem in report.problems()]
    return "\n".join(lines)


def _run(checks: Sequence[TaskCheck], workers: int) -> Iterator[TaskReport]:
    """Fresh processes, because every simulated world keeps some memory in MuJoCo and robosuite."""
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=20) as pool:
        results = [pool.apply_async(check_task, (check,)) for check in checks]
        for check, result in tqdm(list(zip(checks, results, strict=True)), unit="task"):
            try:
                yield result.get()
            except Exception as error:  # whatever keeps a task from loading is a finding, not the end of the check
                yield TaskReport(check.suite, check.index, error=f"{type(error).__name__}: {error}")

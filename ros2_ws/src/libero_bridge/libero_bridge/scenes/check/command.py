"""`./substep scenes check`: the check of all tasks, in parallel, as a table and as JSON."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from libero_bridge.libero_setup import EMBEDDED_ASSETS
from libero_bridge.scenes.check.task import TaskCheck, TaskReport, check_task
from libero_bridge.tasks import SUITES, task_names

COLUMNS = "suite           task  states  slid  crept  drop   rise  tipped  goals"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 if every task passes, else 1."""
    options = _parse(arguments)
    started = time.monotonic()
    checks = [
        TaskCheck(suite, index, options.assets, options.states)
        for suite in options.suite or SUITES
        for index in ([options.task] if options.task is not None else range(len(task_names(suite))))
    ]
    reports = sorted(_run(checks, options.workers), key=lambda report: (SUITES.index(report.suite), report.index))
    print(table(reports))
    failed = [report for report in reports if report.problems()]
    print(f"{len(reports) - len(failed)} of {len(reports)} tasks pass ({time.monotonic() - started:.0f} s)")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps([report.as_dict() for report in reports], indent=1) + "\n")
    return 1 if failed else 0


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


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="substep scenes check", description=__doc__)
    parser.add_argument("--suite", action="append", choices=SUITES, help="only this suite (may be repeated)")
    parser.add_argument("--task", type=int, help="only the task of this index in each suite")
    parser.add_argument("--states", type=int, help="initial states per task (default: all 50)")
    parser.add_argument("--assets", default=EMBEDDED_ASSETS, help="embedded, libero or a folder (default: embedded)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    return parser.parse_args(arguments)

"""``./substep demonstrator``: how often the scripted expert succeeds, task by task.

Episodes are kept as JSON lines and never played twice: a run that was stopped goes on where it was. A file holds one
placement and one asset source; what it was made with stands in its first line.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from libero_bridge.libero_setup import EMBEDDED_ASSETS
from libero_bridge.placement import Placement
from libero_bridge.simulation import Simulation, SimulationConfig
from libero_bridge.tasks import SUITES, load_task, task_names
from substep_planner.decomposers.library import find_plan, shipped_library
from substep_policy.demonstrator import Demonstrator
from training.intervals import wilson
from training.rollout import RolloutConfig, run_episode

FOUR_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")


@dataclass(frozen=True)
class TaskJob:
    """One task and the episodes of it that are still to be played; an episode's number is its state and its seed."""

    suite: str
    index: int
    episodes: tuple[int, ...]
    assets: str
    placement: Placement


def play(job: TaskJob) -> list[dict]:
    """The episodes of a job as records for the result file."""
    simulation = Simulation(SimulationConfig(job.suite, job.index, assets=job.assets, render=False))
    found = find_plan(shipped_library(), simulation.instruction, job.suite)
    if found is None:
        raise ValueError(f"the shipped library has no plan for {simulation.instruction!r} ({job.suite})")
    records = []
    for episode in job.episodes:
        result = run_episode(
            simulation,
            Demonstrator(),
            found[1].substeps,
            RolloutConfig(),
            init_state=episode % simulation.init_state_count,
            seed=episode,
            placement=job.placement,
        )
        records.append({"suite": job.suite, "task": job.index, "episode": episode, **asdict(result)})
    simulation.close()
    return records


class Results:
    """A file of episodes: a header line, then a line each."""

    def __init__(self, path: Path, header: dict) -> None:
        self._path = path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(header) + "\n")
        first, *lines = path.read_text().splitlines()
        if json.loads(first) != header:
            raise ValueError(f"{path} was made with {first}, not with {json.dumps(header)}: choose another --out")
        self.records: list[dict] = [json.loads(line) for line in lines]

    def has(self, suite: str, task: int, episode: int) -> bool:
        key = (suite, task, episode)
        return any((record["suite"], record["task"], record["episode"]) == key for record in self.records)

    def add(self, records: Sequence[dict]) -> None:
        self.records += records
        with self._path.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)


def table(records: Sequence[dict]) -> str:
    """Markdown: a row per task, one per suite and one for all, with Wilson's 95 % intervals and what went wrong."""
    lines = ["| suite | task | instruction | success | 95 % | steps | ended otherwise |", "|---" * 7 + "|"]
    for suite in [suite for suite in SUITES if any(record["suite"] == suite for record in records)]:
        of_suite = [record for record in records if record["suite"] == suite]
        for task in sorted({record["task"] for record in of_suite}):
            of_task = [record for record in of_suite if record["task"] == task]
            lines.append(f"| {suite} | {task} | {load_task(suite, task).instruction} {_figures(of_task)}")
        lines.append(f"| **{suite}** | all | {_figures(of_suite)}")
    lines.append(f"| **all** | | {_figures(records)}")
    return "\n".join(lines)


def _figures(records: Sequence[dict]) -> str:
    successes = sum(record["success"] for record in records)
    low, high = wilson(successes, len(records))
    steps = sorted(record["success_step"] for record in records if record["success"])
    median = str(steps[len(steps) // 2]) if steps else "-"
    reasons = [record["substeps"][-1]["reason"] for record in records if not record["success"]]
    failures = ", ".join(f"{reasons.count(reason)} {reason}" for reason in sorted(set(reasons)))
    share = f"{successes}/{len(records)}"
    return f"| {share} | {low:.0%} to {high:.0%} | {median} | {failures} |"


def _jobs(options: argparse.Namespace, results: Results) -> Iterator[TaskJob]:
    for suite in options.suite or FOUR_SUITES:
        for index in options.task or range(len(task_names(suite))):
            episodes = range(options.first, options.first + options.episodes)
            missing = tuple(episode for episode in episodes if not results.has(suite, index, episode))
            if missing:
                yield TaskJob(suite, index, missing, options.assets, Placement(options.placement))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="substep demonstrator", description=__doc__)
    parser.add_argument("--suite", action="append", choices=SUITES, help="may be repeated (default: the four suites)")
    parser.add_argument("--task", action="append", type=int, help="only this task of each suite; may be repeated")
    parser.add_argument("--episodes", type=int, default=10, help="per task (default: 10)")
    parser.add_argument("--first", type=int, default=0, help="number of the first: its initial state and seed")
    parser.add_argument("--placement", choices=[placement.value for placement in Placement], default="benchmark")
    parser.add_argument("--assets", default=EMBEDDED_ASSETS, help="embedded, libero or a folder (default: embedded)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--out", type=Path, help="file of episodes (default: runs/demonstrator-PLACEMENT.jsonl)")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    options = parser.parse_args(arguments)
    if options.episodes < 1 or options.workers < 1 or options.first < 0:
        parser.error("--episodes and --workers must be at least 1, --first at least 0")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    out = options.out or Path("runs", f"demonstrator-{options.placement}.jsonl")
    results = Results(out, {"placement": options.placement, "assets": options.assets})
    jobs = list(_jobs(options, results))
    # fresh processes now and then, because every simulated world keeps some memory in MuJoCo and robosuite
    with multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=10) as pool:
        for records in tqdm(pool.imap_unordered(play, jobs), total=len(jobs), unit="task"):
            results.add(records)
    chosen = [record for record in results.records if record["suite"] in (options.suite or FOUR_SUITES)]
    print(table(chosen))
    if options.table is not None:
        options.table.write_text(table(chosen) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

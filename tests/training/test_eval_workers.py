"""Episodes played by several processes: the same as by one, and what becomes of them when a process dies."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Iterable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from libero_bridge.placement import Placement
from training import evaluate_demonstrator
from training.evaluation import evaluate
from training.evaluation.episodes import EpisodeKey, Job, jobs
from training.evaluation.records import key_of
from training.evaluation.settings import EpisodeSettings, Selection
from training.evaluation.workers import Line, play, play_job

WHAT = ["demonstrator", "--suites", "libero_goal", "--probes", "policy"]
TIMES = ("wall_s", "chunk_latency_s")
pytestmark = pytest.mark.xdist_group("eval")


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]


def untimed(played: Iterable[dict[str, Any]]) -> dict[EpisodeKey, dict[str, Any]]:
    return {key_of(record): {name: part for name, part in record.items() if name not in TIMES} for record in played}


def test_two_processes_play_the_same_episodes_as_one(tmp_path: Path):
    """Two tasks, widened so that each episode draws its world: one process plays the second after the first."""
    settings = EpisodeSettings(policy="demonstrator", horizon=100)
    chosen = Selection(("libero_goal",), (0, 7), placements=(Placement.WIDENED,), episodes=1)
    todo = jobs(settings, chosen, ())
    line = Line(queue.Queue(), threading.Event())
    for job in todo:
        play_job(job, tmp_path, line)
    two: list[dict[str, Any]] = []
    play(todo, tmp_path, 2, two.append)
    one = untimed(line.take())
    assert len(two) == len(one) == 2 and untimed(two) == one
    assert len({record["steps"] for record in one.values()}) == 2, "they are different episodes"


class Deadly:
    """Stands in for a job; whatever process receives it ends at once."""

    episodes = ()

    def __reduce__(self):
        return os._exit, (9,)


def test_a_process_that_dies_is_an_error_and_what_was_played_is_kept(tmp_path: Path, monkeypatch, capsys):
    key = EpisodeKey("libero_goal", 7, "policy", "eos", "benchmark", 0)
    before = Job(EpisodeSettings(policy="demonstrator", horizon=3), "libero_goal", 7, (key,))
    monkeypatch.setattr(evaluate, "jobs", lambda *rest: [before, Deadly()])
    limits = ["--tasks", "7", "--placements", "benchmark", "--episodes", "2", "--horizon", "3", "--workers", "1"]
    assert evaluate.main([*WHAT, *limits, "--out", str(tmp_path)]) == 1
    assert "eval: A process in the process pool was terminated abruptly" in capsys.readouterr().err
    (record,) = records(tmp_path)
    assert (record["task"], record["number"], record["steps"]) == (7, 0, 3)
    assert json.loads((tmp_path / "results.json").read_text())["episodes"]["played"] == 1


def test_the_demonstrators_command_reports_a_process_that_died_too(tmp_path: Path, monkeypatch, capsys):
    def die(*rest) -> None:
        raise BrokenProcessPool("it died")

    monkeypatch.setattr(evaluate, "play", die)
    assert evaluate_demonstrator.main(["--suite", "libero_goal", "--task", "7", "--out", str(tmp_path)]) == 1
    assert "demonstrator: it died" in capsys.readouterr().err

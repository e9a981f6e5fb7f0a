"""Episodes played by several processes: the same as by one, and what becomes of them when a process dies."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from libero_bridge.placement import NoRoomError
from substep_cli.grammar import main
from substep_core.contract import LIBERO_PANDA, load_robot
from substep_core.episode import Placement
from substep_core.policy_source import fingerprint
from tests.training.conftest import write_untrained_policy
from training.evaluation import evaluate, in_process, workers
from training.evaluation.episodes import EpisodeKey, Job, jobs
from training.evaluation.markdown import markdown_tables
from training.evaluation.records import key_of
from training.evaluation.settings import EpisodeSettings, Selection
from training.evaluation.workers import Line, play, play_job
from training.workers import waiting_in

WHAT = ["--policy", "demonstrator", "--suites", "libero_goal", "--probes", "policy"]
TIMES = ("wall_s", "chunk_latency_s")
pytestmark = pytest.mark.xdist_group("eval")


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]


def untimed(played: Iterable[dict[str, Any]]) -> dict[EpisodeKey, dict[str, Any]]:
    return {key_of(record): {name: part for name, part in record.items() if name not in TIMES} for record in played}


def test_two_processes_play_the_same_episodes_as_one(tmp_path: Path):
    """Two tasks, widened so that each episode draws its world: one process plays the second after the first.

    One of a program, one of a network.
    """
    network = str(write_untrained_policy(tmp_path / "checkpoint", eos_threshold=0.9))
    todo = []
    for policy, task, horizon in (("demonstrator", 7, 100), (network, 0, 24)):
        settings = EpisodeSettings(policy=policy, fingerprint=fingerprint(policy), horizon=horizon)
        todo += jobs(settings, Selection(("libero_goal",), (task,), placements=(Placement.WIDENED,), episodes=1), ())
    line = Line(queue.Queue(), threading.Event())
    for job in todo:
        play_job(job, tmp_path, line)
    two: list[dict[str, Any]] = []
    play(todo, tmp_path, 2, two.append)
    one = untimed(waiting_in(line.records))
    assert len(two) == len(one) == 2 and untimed(two) == one
    assert len({record["steps"] for record in one.values()}) == 2, "they are different episodes"


def test_a_process_that_has_grown_makes_room_for_a_fresh_one_and_all_jobs_are_played(tmp_path: Path, monkeypatch):
    started, played = [], []

    @contextlib.contextmanager
    def pool(count: int, prepare):
        started.append(count)
        with ThreadPoolExecutor(count) as threads:
            yield threads

    def grow(job: int, folder: Path, line: Line) -> int:
        played.append(job)
        return workers.GROWTH + 1 if job in (2, 3) else workers.GROWTH

    monkeypatch.setattr(workers, "process_pool", pool)
    monkeypatch.setattr(workers, "play_job", grow)
    play([1, 2, 3, 4, 5], tmp_path, 1, played.append)
    assert played == [1, 2, 3, 4, 5]
    assert started == [1, 1, 1], "one until job 2, one for job 3, one for the rest"


class Deadly:
    """Stands in for a job; whatever process receives it is killed, as the kernel does where memory runs out."""

    episodes = ()

    def __reduce__(self):
        return eval, ("__import__('signal').raise_signal(9)",)


def test_a_process_that_dies_is_an_error_and_what_was_played_is_kept(tmp_path: Path, monkeypatch, capsys):
    key = EpisodeKey("libero_goal", 7, "policy", "eos", "benchmark", 0)
    before = Job(EpisodeSettings(policy="demonstrator", horizon=3), "libero_goal", 7, (key,))
    monkeypatch.setattr(evaluate, "jobs", lambda *_, **__: [before, Deadly()])
    limits = ["--tasks", "7", "--placements", "benchmark", "--episodes", "2", "--horizon", "3", "--workers", "1"]
    assert main(["eval", *WHAT, *limits, "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "eval: a worker process died: was it killed, or is there too little memory for so many (--workers)?" in told
    assert "The same command goes on from here" in told
    (record,) = records(tmp_path)
    assert (record["task"], record["number"], record["steps"]) == (7, 0, 3)
    assert json.loads((tmp_path / "results.json").read_text())["episodes"]["played"] == 1


class FullWorld:
    """Stands in for a simulation that finds no room for its objects."""

    contract = load_robot(LIBERO_PANDA)

    def __init__(self, config) -> None:
        self.suite = config.suite

    def close(self) -> None:
        pass

    def reset(self, *start) -> None:
        raise NoRoomError("no room for the plate in 20 draws")


class TooFullToBuild(FullWorld):
    """Finds none as it is built, since LIBERO draws places then."""

    def __init__(self, config) -> None:
        raise NoRoomError("no room for the plate in 20 draws")


@pytest.mark.parametrize("world", [FullWorld, TooFullToBuild])
def test_an_episode_that_cannot_begin_counts_as_failed_and_says_why(tmp_path: Path, monkeypatch, world: type):
    def play_here(todo, folder: Path, workers: int, finished) -> None:
        for job in todo:
            player = in_process.InProcessPlayer(job.settings, job.suite, job.task, folder)
            for key in job.episodes:
                finished(player.play(key, False))
            player.close()

    monkeypatch.setattr(in_process, "Simulation", world)
    monkeypatch.setattr(evaluate, "play", play_here)
    limits = ["--tasks", "7", "--placements", "benchmark", "--episodes", "2"]
    assert main(["eval", *WHAT, *limits, "--out", str(tmp_path)]) == 0
    for record in records(tmp_path):
        assert (record["success"], record["error"], record["steps"]) == (False, in_process.NO_ROOM, 0)
        assert record["message"] == "the episode cannot begin: no room for the plate in 20 draws"
    assert "0/2 | 0% to 66% | - | 2 no room" in markdown_tables(records(tmp_path), EpisodeSettings().source)


def test_the_demonstrators_command_reports_a_process_that_died_too(tmp_path: Path, monkeypatch, capsys):
    def die(*rest) -> None:
        raise ChildProcessError("it died")

    monkeypatch.setattr(evaluate, "play", die)
    assert (
        main(["eval", "--preset", "demonstrator", "--suites", "libero_goal", "--tasks", "7", "--out", str(tmp_path)])
        == 1
    )
    assert "substep eval: it died" in capsys.readouterr().err

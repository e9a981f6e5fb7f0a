"""``./substep eval`` on one LIBERO task: what it leaves, and how it goes on."""

from __future__ import annotations

import json
import queue
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import pytest

from libero_bridge.tasks import LiberoSource
from substep_cli.grammar import main
from substep_core.policy_source import fingerprint
from substep_policy.registry import POLICIES
from tests.training.conftest import TOY_MODEL, write_untrained_policy
from training.evaluation import evaluate, workers
from training.evaluation.episodes import EpisodeKey, Job
from training.evaluation.figures import figures
from training.evaluation.settings import EpisodeSettings
from training.evaluation.workers import Line, play_job
from training.folder_lock import alone_in
from training.workers import waiting_in

pytestmark = pytest.mark.xdist_group("eval")  # one worker plays the episodes once
SUITE, TASK, INSTRUCTION = "libero_goal", 8, "put the bowl on the plate"
PROBES = ("policy", "oracle", "replay", "eos")
HORIZON = "100"
FINGERS = "--empty-width", "0"


def replaced(command: list[str], option: str, value: str) -> list[str]:
    """The command with another value of an option."""
    place = command.index(option) + 1
    return [*command[:place], value, *command[place + 1 :]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A tiny compact policy that nobody trained, and to which every action looks like the last of its substep."""
    return write_untrained_policy(tmp_path_factory.mktemp("checkpoint"), eos_threshold=0.0)


@pytest.fixture(scope="module")
def command(checkpoint: Path) -> list[str]:
    """All but --out. Nobody heeds the fingers: a policy that ends every substep at once lets go of nothing."""
    what = [*FINGERS, "--suites", SUITE, "--tasks", str(TASK), "--probes", *PROBES, "--placements", "benchmark"]
    return [
        "--policy",
        str(checkpoint),
        *what,
        "--episodes",
        "1",
        "--horizon",
        HORIZON,
        "--workers",
        "1",
        "--videos",
        "1",
    ]


@pytest.fixture(scope="module")
def out(command: list[str], tmp_path_factory) -> Path:
    """The results of the command."""
    folder = tmp_path_factory.mktemp("eval") / "results"
    assert main(["eval", *command, "--out", str(folder)]) == 0
    return folder


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """By probe."""
    lines = (folder / "episodes.jsonl").read_text().splitlines()
    return {record["probe"]: record for record in map(json.loads, lines)}


def test_every_probe_is_played_and_the_baselines_do_what_they_must(out: Path):
    found = records(out)
    assert set(found) == set(PROBES)
    oracle, replay, policy = found["oracle"], found["replay"], found["policy"]
    assert oracle["success"] and [step["ended"] for step in oracle["substeps"]] == ["eos", "goal reached"]
    assert oracle["substeps"][0]["premature"] is False and not any(step["missed"] for step in oracle["substeps"])
    assert replay["plan_source"] == "whole_task" and 60 < replay["steps"] <= int(HORIZON)
    assert not policy["success"] and policy["chunk_latency_s"]["count"] == sum(policy["chunks"].values()) == 2
    assert [(step["ended"], step["premature"]) for step in policy["substeps"]] == [("eos", True)] * 2
    assert policy["completed"] == 0
    ends = found["eos"]["ends"]
    assert [end["instruction"] for end in ends] == ["pick up the bowl", "place the bowl on the plate"]
    assert [(end["right"], end["premature"], end["missed"]) for end in ends] == [(0, TOY_MODEL["chunk_length"], 0)] * 2


def test_results_echo_the_configuration_and_where_they_come_from(out: Path, command: list[str], checkpoint: Path):
    results = json.loads((out / "results.json").read_text())
    assert results["episodes"] == {"planned": 4, "played": 4, "all": 4}
    assert results["settings"]["policy"] == str(checkpoint) and results["settings"]["horizon"] == int(HORIZON)
    assert results["selection"]["probes"] == list(PROBES)
    (made,) = results["commands"]
    assert made["command"].startswith("./substep eval ") and all(word in made["command"] for word in command)
    assert re.fullmatch(r"[0-9a-f]{12}\+?|unknown", made["commit"]) and made["machine"]["cores"] >= 1
    rows = {(row["probe"], row["task"]): row for row in results["success"] if row["suite"] == SUITE}
    assert rows["oracle", TASK]["successes"] == 1 and rows["oracle", "all"]["interval"][1] == 1.0
    assert rows["policy", TASK]["instruction"] == INSTRUCTION
    (eos,) = [row for row in results["eos"] if row["suite"] == "all"]
    assert (eos["substeps"], eos["premature"], eos["f1"]) == (2, 1.0, 0.0)


def test_the_page_needs_nothing_else_and_lists_every_task(out: Path):
    page = (out / "index.html").read_text()
    assert "Played from the training part" not in page
    assert INSTRUCTION in page and "pick up the bowl" in page and page.count("<svg") == 3
    assert "<script" not in page and "<link" not in page and "@import" not in page
    fetched = re.findall(r"""(?:src|href)=["']([^"'#][^"']*)""", page)
    (video,) = [name for name in fetched if not name.startswith("data:")]
    assert (out / video).is_file(), "only videos lie beside the page"


def test_a_probe_alone_has_its_page_and_trainings_starts_are_pointed_out(checkpoint: Path, tmp_path: Path):
    what = [*FINGERS, "--suites", SUITE, "--tasks", str(TASK), "--probes", "other_task", "--placements", "benchmark"]
    limits = ["--probe-episodes", "1", "--horizon", HORIZON, "--workers", "1", "--split", "training"]
    assert main(["eval", "--policy", str(checkpoint), *what, *limits, "--out", str(tmp_path / "results")]) == 0
    page, (record,) = (tmp_path / "results/index.html").read_text(), records(tmp_path / "results").values()
    assert "other_task" in page and "Played from the training part" in page
    split = LiberoSource().splits["training"]
    assert record["init_state"] in split.init_states and record["seed"] in split.seeds


def test_eos_is_not_compared_with_itself(tmp_path: Path):
    key = EpisodeKey(SUITE, TASK, "eos", "", "benchmark", 0)
    (record,) = play_again(Job(EpisodeSettings(policy="demonstrator"), SUITE, TASK, (key,)), tmp_path)
    assert record["ends"] == [] and "demonstrator sees the truth" in record["excluded"]
    (row, *_) = figures([record], LiberoSource())["eos"]
    assert row["f1"] is None and row["excluded"] == {record["excluded"]: 1}


def test_the_policy_is_filmed(out: Path):
    policy = records(out)["policy"]
    film = imageio.imread(out / policy["video"], plugin="FFMPEG")
    assert len(film) > policy["steps"] and film.max() > 100


def play_again(job: Job, folder: Path) -> list[dict[str, Any]]:
    """A job in this process."""
    line = Line(queue.Queue(), threading.Event())
    play_job(job, folder, line)
    return list(waiting_in(line.records))


def test_a_stopped_run_goes_on_with_what_is_missing_and_ends_the_same(
    out: Path, command: list[str], tmp_path: Path, monkeypatch
):
    again = tmp_path / "again"
    shutil.copytree(out, again)
    file = again / "episodes.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[1:]) + lines[0][:100])  # the first was never finished, its line cut short
    monkeypatch.setattr(
        evaluate, "play", lambda jobs, folder, workers, finished: [
            finished(record) for job in jobs for record in play_again(job, folder)
        ],
    )  # fmt: skip
    assert main(["eval", *command, "--out", str(again)]) == 0
    assert len(file.read_text().splitlines()) == len(lines)
    changing = ("wall_s", "chunk_latency_s")
    before, after = records(out), records(again)
    for probe in PROBES:
        assert {name: value for name, value in before[probe].items() if name not in changing} == {
            name: value for name, value in after[probe].items() if name not in changing
        }


def test_a_folder_of_other_settings_is_left_alone(out: Path, command: list[str], checkpoint: Path, tmp_path, capsys):
    assert main(["eval", *replaced(command, "--horizon", "90"), "--out", str(out)]) == 2
    assert "horizon 100, now 90" in capsys.readouterr().err
    trained_on = tmp_path / "trained_on"
    shutil.copytree(checkpoint, trained_on)
    (trained_on / "dataset_statistics.json").write_text("{}")
    assert fingerprint(str(trained_on)) != fingerprint(str(checkpoint)) != ""


def test_a_policy_that_is_named_is_known_by_its_files_and_not_by_its_card(checkpoint: Path, tmp_path: Path):
    assert fingerprint("compact") == fingerprint(str(POLICIES.folder("compact"))) != ""
    shutil.copytree(checkpoint, tmp_path / "described")
    (tmp_path / "described/README.md").write_text("# A policy")
    assert fingerprint(str(tmp_path / "described")) == fingerprint(str(checkpoint))
    assert fingerprint("demonstrator") == "", "a program is what the commit says"


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_an_output_folder_that_is_a_file_is_named(tmp_path, out):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=f"{out} is to be a folder, and .*file is a file"):
        alone_in(tmp_path / out)


def test_a_second_evaluation_in_the_same_folder_is_refused(command: list[str], tmp_path: Path, capsys):
    with alone_in(tmp_path):
        assert main(["eval", *command, "--out", str(tmp_path)]) == 1
    assert f"another command is at work in {tmp_path}" in capsys.readouterr().err
    assert not (tmp_path / "episodes.jsonl").exists()


def test_an_evaluation_may_grow(out: Path, command: list[str], tmp_path: Path, monkeypatch):
    again = tmp_path / "again"
    shutil.copytree(out, again)
    asked: list[Job] = []
    monkeypatch.setattr(evaluate, "play", lambda jobs, *rest: asked.extend(jobs))
    assert main(["eval", *replaced(command, "--episodes", "3"), "--out", str(again), "--switch-rules", "eos"]) == 0
    assert [key.number for job in asked for key in job.episodes] == [1, 2]
    assert json.loads((again / "results.json").read_text())["episodes"] == {"planned": 6, "played": 4, "all": 4}


def test_through_the_graph_a_preset_has_what_the_graph_can_play(tmp_path: Path, monkeypatch):
    asked: list[Job] = []
    monkeypatch.setattr(evaluate, "play", lambda jobs, *rest: asked.extend(jobs))
    what = ["--suites", "libero_object", "--tasks", "0", "--placements", "benchmark"]
    assert (
        main(["eval", "--policy", "demonstrator", *what, "--through", "graph", "--out", str(tmp_path / "results")]) == 0
    )
    assert [key.probe for job in asked for key in job.episodes] == [
        "policy", "policy", "oracle", "whole_task", "other_task",
    ]  # fmt: skip


def test_the_graph_plays_an_episode_as_one_process_does(tmp_path: Path):
    what = ["--suites", SUITE, "--tasks", str(TASK), "--probes", "policy", "--placements", "benchmark"]
    played = []
    for through, videos in (("process", "0"), ("graph", "1")):
        folder = tmp_path / through
        limits = ["--episodes", "1", "--videos", videos, "--workers", "1", "--through", through, "--out", str(folder)]
        assert main(["eval", "--policy", "demonstrator", *what, *limits]) == 0
        played.append(records(folder)["policy"])
    process, graph = played
    assert graph["success"] and (graph["steps"], graph["seed"]) == (process["steps"], process["seed"])
    ends = [[(step["instruction"], step["ended"], step["steps"]) for step in record["substeps"]] for record in played]
    assert ends[0] == ends[1]
    film = imageio.imread(tmp_path / "graph" / graph["video"], plugin="FFMPEG")
    assert len(film) > 10 and film.max() > 100
    assert f'href="{graph["video"]}"' in (tmp_path / "graph/index.html").read_text()


def test_what_is_being_played_when_a_run_is_stopped_is_kept(tmp_path: Path, monkeypatch):
    def play_slowly(job: str, folder: Path, line: Line) -> None:
        if job == "fast":
            line.records.put({"job": job})
        line.stop.wait(60)
        if job == "slow":
            line.records.put({"job": job})

    def stop(record: dict[str, Any]) -> None:
        kept.append(record["job"])
        if record["job"] == "fast":
            raise KeyboardInterrupt

    monkeypatch.setattr(workers, "process_pool", lambda size, prepare: ThreadPoolExecutor(size))
    monkeypatch.setattr(workers, "play_job", play_slowly)
    kept: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        workers.play(["fast", "slow", "never begun"], tmp_path, 2, stop)
    assert kept == ["fast", "slow"]

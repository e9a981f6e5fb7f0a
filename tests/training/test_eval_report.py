"""What the report shows: everything that a folder of results holds, figures that are the records', and what is missing.

The records are made up; no world is simulated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from libero_bridge.tasks import LiberoSource
from substep_cli.grammar import main
from substep_core.episode import Placement
from substep_core.tasks import _open
from training.evaluation import evaluate
from training.evaluation.episodes import EpisodeKey, planned
from training.evaluation.figures import figures, latencies
from training.evaluation.markdown import markdown_tables
from training.evaluation.records import ResultFolder, record_of
from training.evaluation.report import write_report
from training.evaluation.settings import EpisodeSettings, Selection
from training.evaluation.task_kind import kind_of
from training.intervals import median_interval

WrittenReport = tuple[dict[str, Any], str]  # results.json and the page
SETTINGS = EpisodeSettings(policy="demonstrator")
BOTH = (Placement.BENCHMARK, Placement.WIDENED)
NO_LATENCY = {"count": 0, "median": None, "p99": None, "max": None}


def made_by(command: str, date: str = "2026-11-22T10:00:00+00:00", commit: str = "abc") -> dict[str, Any]:
    machine = {"processor": "x", "cores": 2, "memory_gib": 4.0, "gpu": None}
    return {"command": command, "commit": commit, "date": date, "machine": machine, "versions": {}}


def selection(*probes: str, tasks: Sequence[int] = (8,), placements: Sequence[Placement] = BOTH, **more) -> Selection:
    numbers = {"episodes": 1, "probe_episodes": 1} | more
    return Selection(("libero_goal",), tuple(tasks), probes, tuple(placements), **numbers)


def substep(ended: str, steps: int = 40, place: int = 0) -> dict[str, Any]:
    judged = {"effect_after": 30, "premature": False if ended == "eos" else None, "missed": False}
    named = {"plan_id": "a", "index": place, "place": place, "instruction": f"do {place}", "attempts": 1}
    return named | judged | {"steps": steps, "advanced": ended == "eos", "ended": ended, "undone": False}


def episode(key: EpisodeKey, success: bool = True, endings: Sequence[str] = ("eos",), **more) -> dict[str, Any]:
    """A record. ``endings``: of its substeps."""
    if key.probe == "eos":
        return record_of(key, (3, 7), excluded="", ends=[])
    content = {
        "success": success,
        "steps": 50,
        "error": "NONE" if success else "SUBSTEP_TIMEOUT",
        "message": "",
        "plan_source": "library",
        "substeps": [substep(ended, place=place) for place, ended in enumerate(endings)],
        "completed": len(endings),
        "planned": len(endings),
        "events": [],
        "chunks": {"played": 5},
        "rejections": {},
        "chunk_latency_s": NO_LATENCY,
        "video": None,
    }
    return record_of(key, (3, 7), **content | more)


def keep(folder: Path, chosen: Selection, made: dict[str, Any], settings: EpisodeSettings = SETTINGS) -> WrittenReport:
    """What a command leaves that plays all of its selection which is not there yet."""
    results = ResultFolder(folder, settings)
    for key in planned(chosen, results.source):
        if key not in results.keys():
            results.add(episode(key), made)
    return report(results, chosen, made, settings)


def report(folder: ResultFolder, chosen: Selection, made: dict[str, Any], settings=SETTINGS) -> WrittenReport:
    write_report(folder, settings, chosen, made)
    return json.loads((folder.path / "results.json").read_text()), (folder.path / "index.html").read_text()


def groups(results: dict[str, Any], table: str = "success") -> list[tuple[str, str, str]]:
    return list(dict.fromkeys((row["probe"], row["rule"], row["placement"]) for row in results[table]))


def table(page: str, head: str) -> list[dict[str, str]]:
    """The page's table that has this column, row by row."""
    (found,) = [found for found in re.findall(r"<table>(.*?)</table>", page, re.DOTALL) if f">{head}</th>" in found]
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in found.split("<tr")[1:]]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def words(cell: str) -> str:
    """A cell's text."""
    return " ".join(re.sub("<[^>]*>", " ", cell).split())


# --- what is shown ---


def test_a_perturbed_benchmark_has_a_table_of_its_dimensions_with_what_departs_from_it(tmp_path: Path):
    results = ResultFolder(tmp_path, SETTINGS)
    chosen = selection("policy", tasks=(8, 9), placements=[Placement.BENCHMARK])
    kinds = ({"category": "Light", "difficulty": 3, "variant": "embedded"}, {"category": "Noise", "difficulty": None})
    for key, kind in zip(planned(chosen, results.source), kinds, strict=True):
        results.add(episode(key, success=key.task == 8) | {"variant": ""} | kind, made_by("./substep eval X"))
    _, page = report(results, chosen, made_by("./substep eval X"))
    rows = [{name: words(cell) for name, cell in row.items()} for row in table(page, "category")]
    assert [(row["category"], row["success"]) for row in rows] == [
        ("Light 1 embedded", "100 % (1/1) 21 % to 100 %"),
        ("Noise", "0 % (0/1) 0 % to 79 %"),
        ("all, mean 50 % 1 embedded", "50 % (1/2) 9 % to 91 %"),
    ]
    assert {row["probe"] for row in rows} == {"policy (eos) benchmark"}
    assert rows[0]["level 3"].startswith("100 % (1/1)") and rows[1]["no level"].startswith("0 % (0/1)")
    text = markdown_tables(results.in_order(), results.source)
    assert "| policy (eos) | benchmark | Light | 1/1 (100%) |" in text


def test_what_departs_from_the_benchmark_is_said_beside_every_success(tmp_path: Path):
    results = ResultFolder(tmp_path, SETTINGS)
    variants = {7: "", 8: "embedded", 9: "embedded, start drawn"}
    for probe in ("policy", "eos"):  # ends have no success
        chosen = selection(probe, tasks=(7, 8, 9), placements=[Placement.BENCHMARK])
        for key in planned(chosen, results.source):
            kind = {"category": "Light", "difficulty": 3, "variant": variants[key.task]}
            results.add(episode(key) | kind, made_by("./substep eval X"))
    _, page = report(results, chosen, made_by("./substep eval X"))
    both = "1 embedded; 1 embedded, start drawn"
    assert [words(row["suite"]) for row in table(page, "substeps completed")] == [f"libero_goal {both}"]
    told = [words(cell) for cell in re.findall(r'<td class="text">((?:put|turn) .*?)</td>', page)]
    for task in ("put the bowl on the plate 1 embedded", "put the wine bottle on the rack 1 embedded, start drawn"):
        assert told.count(task) == 1
    text = markdown_tables(results.in_order(), results.source)
    assert f"| **libero_goal** | all |  | 3/3 | 44% to 100% | 50 |  | {both} |" in text
    assert "| libero_goal | 7 | turn on the stove | 1/1 | 21% to 100% | 50 |  |  |" in text


def test_names_that_mean_something_in_a_page_or_a_table_are_shown_as_they_are(tmp_path: Path):
    suite = "$<b>|$suite"
    (tmp_path / suite).mkdir()
    task = LiberoSource().task("libero_goal", 8)
    (tmp_path / suite / "a.bddl").write_text(task.bddl_file.read_text().replace("Put the bowl", "Put <i>the|bowl"))
    settings = EpisodeSettings(policy="demonstrator", tasks_from=str(tmp_path))
    chosen = Selection((suite,), placements=(Placement.BENCHMARK,), episodes=1)
    results = ResultFolder(tmp_path / "out", settings)
    for key in planned(chosen, results.source):
        results.add(episode(key, video="videos/a#1 %.mp4"), made_by("./substep eval X"))
    _, page = report(results, chosen, made_by("./substep eval X"), settings)
    assert "$&lt;b&gt;|$suite" in page and "put &lt;i&gt;the|bowl on the plate" in page
    assert "<b>|" not in page and "<i>" not in page and 'href="videos/a%231%20%25.mp4"' in page
    assert r"| put <i>the\|bowl on the plate |" in markdown_tables(results.in_order(), results.source)


def test_all_that_the_folder_holds_is_shown_whatever_was_asked_for_last(tmp_path: Path):
    commands = [made_by(f"./substep eval X {number}") for number in range(3)]
    keep(tmp_path, selection("replay", "eos", tasks=(9,), placements=[Placement.WIDENED]), commands[0])
    keep(tmp_path, selection("policy", tasks=(9, 8), placements=[Placement.WIDENED], episodes=2), commands[1])
    last = selection("policy", tasks=(8,), placements=[Placement.BENCHMARK], switch_rules=("either", "eos"))
    results, page = keep(tmp_path, last, commands[2])
    assert groups(results) == [
        ("policy", "either", "benchmark"),
        ("policy", "eos", "benchmark"),
        ("policy", "eos", "widened"),
        ("replay", "eos", "widened"),
    ]
    assert groups(results, "eos") == [("eos", "", "widened")]
    assert list(results["probes"]) == ["policy", "replay", "eos"]
    widened = [row for row in results["success"] if (row["probe"], row["placement"]) == ("policy", "widened")]
    assert [(row["task"], row["episodes"]) for row in widened] == [(8, 2), (9, 2), ("all", 4), ("all", 4)]
    assert results["episodes"] == {"planned": 2, "played": 2, "all": 8}
    assert [made["command"] for made in results["commands"]] == [made["command"] for made in commands]
    assert all(made["command"] in page for made in commands)
    assert {row["probe"] for row in table(page, "substeps completed")} == {"policy (eos)", "policy (either)", "replay"}
    assert page.count("EOS against the truth") == 1 and "not finished" not in page


def test_a_folder_of_several_suites_has_their_rows_in_order_and_totals(tmp_path: Path):
    made = made_by("./substep eval X")
    for suites, probe in [(("libero_object",), "policy"), (("libero_spatial", "libero_object"), "replay")]:
        chosen = Selection(suites, (0,), (probe,), BOTH, episodes=1, probe_episodes=1)
        results, page = keep(tmp_path, chosen, made)
    assert [row["suite"] for row in results["success"] if row["probe"] == "replay" and row["task"] == "all"] == [
        "libero_spatial", "libero_object", "all",
    ] * 2  # fmt: skip
    shown = [row["suite"] for row in table(page, "substeps completed")]
    assert shown.count("all") == 4, "one for each probe and placement"


def test_the_demonstrators_table_is_of_what_was_asked_for_and_its_report_of_everything(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        evaluate, "play", lambda jobs, folder, workers, finished: [
            finished(episode(key)) for job in jobs for key in job.episodes
        ],
    )  # fmt: skip
    for task in ("7", "8"):
        options = ["--suites", "libero_goal", "--tasks", task, "--episodes", "2", "--out", str(tmp_path)]
        assert main(["eval", "--preset", "demonstrator", *options]) == 0
    last = capsys.readouterr().out.rpartition("| suite |")[2]
    assert "| libero_goal | 8 | put the bowl on the plate | 2/2 |" in last and "| libero_goal | 7 |" not in last
    results = json.loads((tmp_path / "results.json").read_text())
    assert [row["task"] for row in results["success"]] == [7, 8, "all", "all"]
    assert [made["command"].partition(" --episodes")[0] for made in results["commands"]] == [
        f"./substep eval --preset demonstrator --suites libero_goal --tasks {task}" for task in (7, 8)
    ]


def test_a_command_that_is_not_finished_says_how_far_it_is(tmp_path: Path):
    keep(tmp_path, selection("replay"), made_by("first"))
    folder, made = ResultFolder(tmp_path, SETTINGS), made_by("second")
    folder.add(episode(EpisodeKey("libero_goal", 8, "policy", "eos", "widened", 1)), made)
    results, page = report(folder, selection("policy", "replay", episodes=3), made)
    assert results["episodes"] == {"planned": 8, "played": 3, "all": 3}
    assert re.search(r"second</code>, asks for 8 episodes;\s+3 of 8 are played", page) and "(not finished)" in page


def test_a_part_is_finished_when_its_own_episodes_are_played(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(
        evaluate, "play", lambda jobs, folder, workers, finished: [
            finished(episode(key)) for job in jobs for key in job.episodes
        ],
    )  # fmt: skip
    what = ["--suites", "libero_goal", "--probes", "policy", "--placements", "benchmark", "--episodes", "1"]
    what += ["--policy", "demonstrator", "--tasks", "7", "8", "9", "--out", str(tmp_path)]
    assert main(["eval", *what, "--shard", "2/2"]) == 0
    folder = tmp_path / "shards" / "2_of_2"
    assert json.loads((folder / "results.json").read_text())["episodes"] == {"planned": 1, "played": 1, "all": 1}
    assert "not finished" not in (folder / "index.html").read_text()


def test_a_part_without_tasks_names_no_page(tmp_path: Path, capsys):
    what = ["--suites", "libero_goal", "--tasks", "7", "--policy", "demonstrator", "--out", str(tmp_path)]
    assert main(["eval", *what, "--shard", "2/2"]) == 0
    assert "2_of_2 has no episodes: no task is in this part" in capsys.readouterr().out


def test_a_damaged_line_is_named(tmp_path: Path):
    keep(tmp_path, selection("policy", "replay"), made_by("./substep eval X"))
    file = tmp_path / "episodes.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    for damaged in ("\0\0\n", "7\n"):
        file.write_text("".join([lines[0], damaged, *lines[2:]]))
        with pytest.raises(ValueError, match=r"episodes.jsonl line 2 holds no record .*: without that line it is made"):
            ResultFolder(tmp_path, SETTINGS)


def test_results_of_tasks_that_are_others_now_are_not_continued(tmp_path: Path):
    """A folder's tasks are in alphabetical order, so that a new one moves those after it."""
    text = LiberoSource().task("libero_goal", 8).bddl_file.read_text()
    for name in ("b", "c"):
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / f"{name}.bddl").write_text(text)
    settings = EpisodeSettings(policy="demonstrator", tasks_from=str(tmp_path))
    results = ResultFolder(tmp_path / "out", settings)
    key = EpisodeKey("own", 1, "policy", "eos", "benchmark", 0)
    results.add(episode(key) | kind_of(settings, "own", 1), made_by("./substep eval X"))
    ResultFolder(tmp_path / "out", settings)
    (tmp_path / "own" / "a.bddl").write_text(text)
    _open.cache_clear()
    with pytest.raises(ValueError, match=r"own task 1, 'c', and there the source of tasks now has 'b': choose another"):
        ResultFolder(tmp_path / "out", settings)
    for name in ("a", "b"):
        (tmp_path / "own" / f"{name}.bddl").unlink()
    _open.cache_clear()
    with pytest.raises(ValueError, match=r"own task 1, 'c', and there the source of tasks now has 'none'"):
        ResultFolder(tmp_path / "out", settings)


# --- the commands that filled the folder ---


def test_a_command_is_kept_once_for_each_commit_and_only_when_it_plays_something(tmp_path: Path):
    first = made_by("./substep eval X", date="2026-11-20T08:00:00+00:00")
    keep(tmp_path, selection("policy"), first)
    keep(tmp_path, selection("policy", "replay"), first | {"date": "2026-11-21T08:00:00+00:00"})
    changed = made_by("./substep eval X", date="2026-11-22T08:00:00+00:00", commit="def")
    keep(tmp_path, selection("policy", "replay", "oracle"), changed)
    results, _ = keep(tmp_path, selection("policy"), made_by("./substep eval X --look-at-it-again"))
    assert results["commands"] == [first, changed]
    assert results["made"]["command"] == "./substep eval X --look-at-it-again"


def test_a_folder_from_before_commands_were_kept_says_that_they_are_unknown(tmp_path: Path):
    keep(tmp_path, selection("policy"), made_by("./substep eval X"))
    (tmp_path / "commands.json").unlink()
    results, page = keep(tmp_path, selection("policy"), made_by("again"))
    assert results["commands"] == [{"command": None, "commit": None, "date": None}]
    assert page.count("unknown commands, from before they were kept") == 1
    results, page = keep(tmp_path, selection("replay"), made_by("more"))
    assert [made["command"] for made in results["commands"]] == [None, "more"]
    assert "unknown date" in page and "2026-11-22 10:00 UTC" in page
    assert page.count("unknown commands, from before they were kept") == 1


# --- what is missing beside the policy ---


@pytest.mark.parametrize(
    ("probes", "placements", "expected"),
    [
        (
            ("policy", "replay", "whole_task", "no_words", "other_task", "eos"),
            BOTH,
            {},
        ),
        (
            ("policy", "replay", "whole_task", "no_words", "other_task"),
            BOTH,
            {"eos": "--probes eos --placements benchmark widened"},
        ),
        (
            ("policy", "replay", "whole_task", "no_words", "other_task", "eos"),
            [Placement.BENCHMARK],
            {
                name: f"--probes {name} --placements widened"
                for name in ("policy", "replay", "whole_task", "no_words", "other_task", "eos")
            },
        ),
        (("replay", "eos"), BOTH, {}),
    ],
)
def test_what_was_not_played_beside_the_policy_is_named_with_its_options(
    tmp_path: Path, probes: tuple[str, ...], placements: Sequence[Placement], expected: dict[str, str]
):
    results, page = keep(tmp_path, selection(*probes, placements=placements), made_by("./substep eval X"))
    assert {row["probe"]: row["options"] for row in results["missing"]} == expected
    assert ("Not played beside the policy" in page) == bool(expected)
    if expected:
        shown = table(page, "at the end of the policy's command this plays it")
        assert [re.sub("<.*?>", "", list(row.values())[-1]) for row in shown] == list(expected.values())


def test_a_baseline_is_missing_in_the_tasks_that_only_the_policy_was_played_in(tmp_path: Path):
    keep(tmp_path, selection("whole_task", "no_words", "other_task", "eos", tasks=(7, 8, 9)), made_by("first"))
    keep(tmp_path, selection("replay", tasks=(7,)), made_by("second"))
    results, page = keep(tmp_path, selection("policy", tasks=(7, 8, 9)), made_by("third"))
    (row,) = results["missing"]
    assert (row["probe"], row["tasks"], row["of"], row["placements"]) == ("replay", 2, 3, ["benchmark", "widened"])
    assert "2 of 3" in page


def test_what_the_graph_cannot_play_is_to_be_played_in_another_folder(tmp_path: Path):
    settings = EpisodeSettings(policy="demonstrator", through="graph")
    results, _ = keep(tmp_path, selection("policy"), made_by("./substep eval X"), settings)
    options = {row["probe"]: row["options"] for row in results["missing"]}
    assert options["replay"].endswith("--through process --out ANOTHER_FOLDER")
    assert options["whole_task"] == "--probes whole_task --placements benchmark widened"


# --- figures are the records' ---


@pytest.fixture
def four(tmp_path: Path) -> Callable[[Sequence[dict]], WrittenReport]:
    """The report of four episodes of one task, of which these are the parts that matter."""

    def write(parts: Sequence[dict[str, Any]]) -> WrittenReport:
        made, folder = made_by("./substep eval X"), ResultFolder(tmp_path, SETTINGS)
        for number, part in enumerate(parts):
            folder.add(episode(EpisodeKey("libero_goal", 8, "policy", "eos", "benchmark", number), **part), made)
        return report(folder, selection("policy", episodes=len(parts)), made)

    return write


def test_the_interval_is_wilsons_of_the_records_successes(four):
    results, page = four([{"success": True}, {"success": True}, {"success": False}, {"success": True}])
    for row in results["success"]:
        assert (row["successes"], row["episodes"], row["rate"]) == (3, 4, 0.75)
        assert row["interval"] == pytest.approx([0.30064, 0.95442], abs=1e-5)  # by hand, with z = 1.959964
    assert [(row["success"], row["95 %"]) for row in table(page, "substeps completed")] == [("75 %", "30 % to 95 %")]
    assert [(row["success"], row["95 %"]) for row in table(page, "substeps")] == [("3/4", "30 % to 95 %")]


def test_the_interval_of_a_median_is_two_of_the_values_by_order():
    assert median_interval([6.0, 1.0, 5.0, 2.0, 4.0, 3.0]) == (1.0, 6.0)
    assert median_interval([float(value) for value in range(1, 21)]) == (6.0, 15.0)  # P(X ≤ 5) = 0.021
    with pytest.raises(ValueError, match="5 values are too few for an interval of their median at 95%"):
        median_interval([1.0, 2.0, 3.0, 4.0, 5.0])


def test_why_substeps_were_left_is_counted_over_all_episodes(four):
    parts = [
        {"endings": ("eos", "goal reached")},
        {"endings": ("eos", "eos", "tried again", "substep_timeout"), "success": False},
        {"endings": ("eos", "tried again", "eos")},
        {"endings": ("vision",), "success": False, "error": "NONE"},
    ]
    results, page = four(parts)
    expected = {"eos": 5, "tried again": 2, "goal reached": 1, "substep_timeout": 1, "vision": 1}
    assert results["endings"][-1]["substeps"] == expected
    (shown,) = table(page, "why substeps were left")
    assert shown["why substeps were left"] == "5 eos, 2 tried again, 1 goal reached, 1 substep timeout, 1 vision"
    assert shown["what failed episodes ended with"] == "1 substep timeout, 1 plan done"
    assert shown["switches"] == "5" and shown["chunks"] == "20 played"


def latency(count: int, median: float, p99: float, largest: float) -> dict[str, Any]:
    return {"chunk_latency_s": {"count": count, "median": median, "p99": p99, "max": largest}}


def test_latencies_are_medians_over_the_episodes_that_asked_for_chunks(four):
    parts = [latency(10, 0.010, 0.1, 0.15), latency(2, 0.060, 0.3, 0.5), {}, latency(7, 0.020, 0.25, 0.4)]
    results, page = four(parts)
    expected = {"chunks": 19, "median": 0.020, "p99": 0.25, "max": 0.5}
    assert [{name: row[name] for name in expected} for row in results["latency"]] == [expected] * 2
    (shown,) = table(page, "99th percentile")
    assert [shown[name] for name in ("chunks", "median", "99th percentile", "largest")] == [
        "19", "20.0 ms", "250.0 ms", "500.0 ms",
    ]  # fmt: skip
    two = [latency(1, 0.01, 0.1, 0.2), latency(1, 0.02, 0.4, 0.4)]
    assert latencies(two) == {"chunks": 2, "median": pytest.approx(0.015), "p99": pytest.approx(0.25), "max": 0.4}


def test_without_any_chunk_there_is_no_latency(four):
    results, page = four([{}])
    assert results["latency"][-1]["median"] is None
    (shown,) = table(page, "99th percentile")
    assert (shown["chunks"], shown["median"], shown["99th percentile"]) == ("0", "–", "–")


def test_each_group_has_figures_of_its_own_records_alone():
    places = [("policy", "benchmark", 0.01), ("policy", "widened", 0.03), ("whole_task", "widened", 0.05)]
    records = [
        episode(EpisodeKey("libero_goal", 8, probe, "eos", placement, 0), **latency(1, median, median, median))
        for probe, placement, median in places
    ]
    rows = [row for row in figures(records, LiberoSource())["latency"] if row["suite"] == "all"]
    assert [(row["probe"], row["placement"], row["median"]) for row in rows] == places

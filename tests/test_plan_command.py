"""The command that prints plans."""

from __future__ import annotations

import io
import json

import pytest

from substep_cli.grammar import main


def test_it_prints_the_plan_and_who_made_it(capsys):
    assert main(["plan", "put both mugs on the plate"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(
        "1. pick up the left mug\n     seen when done: the gripper holds the left mug in the air\n2. "
    )
    assert "note: library: no plan for 'put both mugs on the plate'" in err
    assert "plan by grounding (after library)" in err


def test_it_says_what_each_phrase_was_taken_for(capsys):
    scene = ["--objects", "porcelain_mug", "plate", "microwave"]
    assert main(["plan", "would you mind placing the cup on the dish", *scene]) == 0
    assert "understood: 'the cup': white mug; 'the dish': plate" in capsys.readouterr().err
    assert main(["plan", "place the banana on the dish", *scene]) == 1
    assert "the scene has no 'the banana'" in capsys.readouterr().err


def test_what_is_not_sure_is_a_question_and_yes_takes_the_suggestion(capsys):
    line = ["plan", "place the blue cup on the dish", "--objects", "porcelain_mug", "plate", "microwave"]
    assert main(line) == 1
    out, err = capsys.readouterr()
    assert out == "" and "the scene has no 'the blue cup'; understood: 'the dish': plate" in err
    assert "did you mean: the white mug, so pick up the white mug and place it on the plate?" in err
    assert main([*line, "--yes"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("1. pick up the white mug") and "note: grounding: the scene has no 'the blue cup'" in err


def test_a_terminal_is_asked(capsys, monkeypatch):
    line = ["plan", "place the blue cup on the dish", "--objects", "porcelain_mug", "plate", "microwave"]
    for answer, code in (("y\n", 0), ("\n", 1), ("n\n", 1), ("put the white mug on the plate\n", 0)):
        terminal = io.StringIO(answer)
        terminal.isatty = lambda: True
        monkeypatch.setattr("sys.stdin", terminal)
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        assert main(line) == code
        assert (
            "did you mean: the white mug, so pick up the white mug and place it on the plate? [y/N, or the "
            "task in other words]" in capsys.readouterr().err
        )

    monkeypatch.setattr("sys.stdin", terminal)
    terminal.seek(0), terminal.truncate(), terminal.write("y\n"), terminal.seek(0)
    assert main(["plan", "place the banana on the dish", *line[2:]]) == 1, "yes answers no open question"
    assert "? [the task in other words]" in capsys.readouterr().err


def test_objects_may_be_counted(capsys):
    line = ["plan", "put three moka pots on the stove", "--objects", "flat_stove"]
    assert main([*line, "moka_pot=3"]) == 0
    assert capsys.readouterr().out.count("pick up the left moka pot outside the stove") == 3
    assert main([*line, "moka_pot=2"]) == 1
    assert main([*line, "moka_pot=many"]) == 2


def test_it_writes_json_in_the_plan_files_format(tmp_path, capsys):
    file = tmp_path / "plan.json"
    assert main(["plan", "Turn on the stove.", "--suite", "libero_goal", "--json", str(file)]) == 0
    out, err = capsys.readouterr()
    assert [step["subgoal"] for step in json.loads(file.read_text())] == ["turn on the stove"]
    assert out.startswith("1. turn on the stove") and err == "plan by library:libero_goal\n"


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["sing a song"], "NO_PLAN: library: no plan for 'sing a song'", 1),
        ([" "], "INSTRUCTION is ' ', expected what a robot is to do", 2),
        (["x", "--decomposers", "oracle"], "unknown decomposer 'oracle'", 2),
        (["x", "--library", "/no/such/file.json"], "/no/such/file.json", 2),
        (["x", "--decomposers", "openai", "--url", "here"], "url is 'here'", 2),
    ],
)
def test_where_there_is_no_plan_it_says_why(capsys, arguments, message, code):
    assert main(["plan", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == "" and message in err


def test_the_scene_is_that_of_the_task_or_of_the_suite_where_there_is_one(capsys):
    for where in (["--suite", "libero_goal"], ["--suite", "libero_goal", "--task", "3"]):
        assert main(["plan", "open the fridge", *where]) == 1
        assert "the scene has no fridge" in capsys.readouterr().err
        assert main(["plan", "set the merlot on the cooktop", *where]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("1. pick up the wine bottle") and "not known" not in err
    assert main(["plan", "put both moka pots on the stove please", "--suite", "libero_10", "--task", "8"]) == 0
    assert capsys.readouterr().out.count("pick up the") == 2
    assert main(["plan", "put three moka pots on the stove", "--suite", "libero_10", "--task", "8"]) == 1
    assert "the scene has 2 moka pot, and 3 are picked up" in capsys.readouterr().err


def test_of_a_scene_that_nobody_told_it_claims_nothing_and_says_so(capsys):
    for text, suite in (("put the banana on the plate", []), ("open the fridge", ["--suite", "libero_10"])):
        assert main(["plan", text, *suite]) == 0
        err = capsys.readouterr().err
        assert "the scene has" not in err
        assert "note: what is in the scene is not known: say it by --objects, or by --suite and --task" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "libero_nonsense"], "one of libero_spatial, libero_object, libero_goal, libero_10, libero_90\n"),
        (["--suite", "libero_nonsense", "--objects", "plate"], "unknown suite 'libero_nonsense'"),
        (["--suite", "libero_nonsense", "--task", "0"], "unknown suite 'libero_nonsense'"),
        (["--suite", "libero_goal", "--task", "10"], "task 10 is not in suite 'libero_goal': expected 0 to 9"),
        (["--task", "0"], "task is 0: expected with --suite"),
        (["--suite", "libero_goal", "--task", "0", "--objects", "plate"], "without --objects"),
    ],
)
def test_a_scene_that_there_is_not_or_that_is_said_twice_is_refused(capsys, arguments, message):
    assert main(["plan", "put the bowl on the plate", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_suite_of_ones_own_plan_file_is_known(tmp_path, capsys):
    plans = tmp_path / "plans.json"
    step = {"step": 1, "subgoal": "open the microwave", "expected_effect": "the microwave is open"}
    plans.write_text(json.dumps({"mine": {"open up": [step]}}))
    assert main(["plan", "open up", "--suite", "mine", "--library", str(plans)]) == 0
    assert "plan by library:mine" in capsys.readouterr().err

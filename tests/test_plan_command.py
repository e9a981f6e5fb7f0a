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

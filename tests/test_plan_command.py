"""The command that prints plans."""

from __future__ import annotations

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
        ([" "], "EMPTY_INSTRUCTION: the instruction is empty: ' '", 1),
        (["x", "--decomposers", "oracle"], "unknown decomposer 'oracle'", 2),
        (["x", "--library", "/no/such/file.json"], "/no/such/file.json", 2),
        (["x", "--decomposers", "openai", "--url", "here"], "url is 'here'", 2),
    ],
)
def test_where_there_is_no_plan_it_says_why(capsys, arguments, message, code):
    assert main(["plan", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == "" and message in err

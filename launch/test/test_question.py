"""A run whose planner asks back is made again with the answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from substep_bringup import sim
from substep_bringup.exit_codes import ExitCode
from substep_bringup.graph_config import GraphConfig
from substep_bringup.question import YES
from substep_bringup.run_folder import RunFolder

QUESTION = "did you mean: the white mug?"


class Runs:
    """Stands for the graph: the task is clear once it is told as ``clear`` says."""

    def __init__(self, clear) -> None:
        self.clear, self.told = clear, []

    def __call__(self, graph, folder: RunFolder, environment) -> Runs:
        self.folder = folder
        return self

    def run(self) -> int:
        config = self.folder.config()
        self.told.append((config["task_text"], config["yes"]))
        is_clear = self.clear(*self.told[-1])
        error = {"message": "" if is_clear else "there is no blue mug", "clarification": "" if is_clear else QUESTION}
        substeps = [{"instruction": "pick up the white mug"}] if is_clear else []
        self.folder.summary.write_text(json.dumps({"plan": {"substeps": substeps}, "error": error}))
        return ExitCode.SUCCESS if is_clear else ExitCode.TASK_FAILED


@pytest.fixture
def carry_out(monkeypatch, tmp_path: Path):
    """``carry_out(clear, answer…)`` -> exit code, what each run was told, and what was asked."""

    def carry_out(clear, *answers: str):
        runs, asked, given = Runs(clear), [], iter(answers)

        def answer(why: str, question: str) -> str:
            asked.append((why, question))
            return next(given)

        monkeypatch.setattr(sim, "_runner", runs)
        config = GraphConfig(task_text="pick up the blue mug", runs=str(tmp_path))
        return sim.run(config, answer=answer), runs.told, asked

    return carry_out


def test_yes_takes_what_is_suggested(carry_out):
    code, told, asked = carry_out(lambda task, yes: yes, YES)
    assert code == ExitCode.SUCCESS and asked == [("there is no blue mug", QUESTION)]
    assert told == [("pick up the blue mug", False), ("pick up the blue mug", True)]


def test_other_words_are_told_instead(carry_out):
    code, told, _ = carry_out(lambda task, yes: "white" in task, "pick up the green mug", "pick up the white mug")
    assert code == ExitCode.SUCCESS and [task for task, _ in told] == [
        "pick up the blue mug",
        "pick up the green mug",
        "pick up the white mug",
    ]


def test_a_yes_is_not_to_what_is_suggested_for_other_words(carry_out):
    """After a yes that led nowhere, a guess at other words is asked about again."""
    code, told, asked = carry_out(lambda task, yes: yes and "green" in task, YES, "pick up the green mug", YES)
    assert code == ExitCode.SUCCESS and len(asked) == 3
    assert told[2:] == [("pick up the green mug", False), ("pick up the green mug", True)]


def test_yes_to_an_open_question_takes_nothing(carry_out, monkeypatch):
    monkeypatch.setitem(globals(), "QUESTION", "which mug?")
    code, told, _ = carry_out(lambda task, yes: yes, YES)
    assert code == ExitCode.TASK_FAILED and told == [("pick up the blue mug", False)]


def test_without_an_answer_it_is_over(carry_out):
    code, told, _ = carry_out(lambda task, yes: False, "")
    assert code == ExitCode.TASK_FAILED and len(told) == 1


def test_yes_to_a_question_that_it_does_not_answer_is_no_endless_run(carry_out):
    code, told, _ = carry_out(lambda task, yes: False, YES, YES)
    assert code == ExitCode.TASK_FAILED and len(told) == 2


def test_a_run_without_questions_asks_nobody(carry_out):
    code, told, asked = carry_out(lambda task, yes: True)
    assert code == ExitCode.SUCCESS and len(told) == 1 and asked == []

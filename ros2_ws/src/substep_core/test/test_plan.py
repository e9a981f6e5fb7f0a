"""The plan file format: what is written comes back, what is wrong is refused with its place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from substep_core.plan import (
    MAX_SUBSTEPS,
    MAX_TEXT,
    Plan,
    PlanFormatError,
    Substep,
    normalise_instruction,
    plan_from_json,
    read_library,
    steps_to_json,
    write_library,
)
from substep_core.printable import printable

GOOD = {"step": 1, "subgoal": "pick up the milk", "expected_effect": "the gripper holds the milk"}
texts = st.text(st.characters(exclude_categories=("C", "Z")), min_size=3, max_size=MAX_TEXT)
substeps = st.builds(Substep, texts, texts)
instructions = st.text(min_size=1, max_size=40).map(normalise_instruction).filter(bool)
libraries = st.dictionaries(
    st.text(min_size=1, max_size=10),
    st.dictionaries(instructions, st.lists(substeps, min_size=1, max_size=MAX_SUBSTEPS).map(tuple), max_size=3),
    max_size=3,
).map(
    lambda suites: {
        suite: {instruction: Plan(instruction, steps) for instruction, steps in plans.items()}
        for suite, plans in suites.items()
    }
)


@given(library=libraries)
def test_a_library_comes_back_as_it_was_written(library, tmp_path_factory):
    path = tmp_path_factory.mktemp("plans") / "APD_plans.json"
    write_library(path, library)
    assert read_library(path) == library


@given(steps=st.lists(substeps, min_size=1, max_size=MAX_SUBSTEPS))
def test_steps_come_back_as_they_were(steps):
    assert plan_from_json("x", steps_to_json(steps), "here").substeps == tuple(steps)


@given(st.text(max_size=60))
def test_the_matching_form_is_a_fixed_point(text):
    assert normalise_instruction(normalise_instruction(text)) == normalise_instruction(text)


def test_the_matching_form_ignores_case_spaces_and_the_full_stop():
    assert normalise_instruction("  Put the  BOWL on\tthe plate. ") == "put the bowl on the plate"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], "[] should be non-empty"),
        ("pick up", "'pick up' is not of type 'array'"),
        ([GOOD, {"step": 2, "subgoal": "x y z"}], "step 2: 'expected_effect' is a required property"),
        ([{**GOOD, "subgoal": ""}], "step 1, subgoal"),
        ([{**GOOD, "subgoal": "   "}], "step 1, subgoal"),
        ([{**GOOD, "expected_effect": "two\nlines"}], "step 1, expected_effect"),
        ([{**GOOD, "expected_effect": 7}], "step 1, expected_effect: 7 is not of type 'string'"),
        ([{**GOOD, "subgoal": "x" * (MAX_TEXT + 1)}], "step 1, subgoal"),
        ([{**GOOD, "step": 2}], "step 1: is numbered 2, expected 1"),
        ([{**GOOD, "note": "!"}], "'note' was unexpected"),
        ([{**GOOD, "step": index + 1} for index in range(MAX_SUBSTEPS + 1)], "is too long"),
    ],
)
def test_a_bad_plan_is_refused_with_its_place(steps, expected):
    with pytest.raises(PlanFormatError) as error:
        plan_from_json("put the milk away", steps, "file.json")
    assert str(error.value).startswith("file.json") and expected in str(error.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"9" * 5000, "not JSON: Exceeds the limit"),
        (b"[]", "expected an object mapping suites to plans, got list"),
        (b'{"libero_10": []}', "suite 'libero_10': expected an object mapping instructions to steps, got list"),
        (json.dumps({"s": {"Put It": [GOOD]}}).encode(), "'Put It' is not in its matching form, 'put it'"),
        (json.dumps({"s": {"put it": [GOOD, 3]}}).encode(), "suite 's', instruction 'put it', step 2: 3 is not"),
        (b'{"s": {}, "s": {}}', "'s' appears twice"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path, content, expected):
    path = tmp_path / "plans.json"
    path.write_bytes(content)
    with pytest.raises(PlanFormatError) as error:
        read_library(path)
    assert str(error.value).startswith(str(path)) and expected in str(error.value)


def test_writing_refuses_an_instruction_that_could_not_be_looked_up(tmp_path):
    plan = Plan("Put It.", (Substep("pick up", "held up"),))
    with pytest.raises(PlanFormatError, match="'Put It.' is not in its matching form, 'put it'"):
        write_library(tmp_path / "plans.json", {"s": {"Put It.": plan}})


@pytest.mark.parametrize("mark", ["\x1b", "\x9b", "\x85", "\u202e", "\u2066", "\u200b", "\u2028", "\ud83d", "\ufeff"])
def test_texts_that_a_terminal_would_obey_or_nobody_sees_are_no_plan(mark):
    with pytest.raises(PlanFormatError):
        Plan("open it", (Substep(f"open the {mark}drawer", "the drawer is open"),))
    with pytest.raises(PlanFormatError):
        Plan("open it", (Substep("open the drawer", f"the drawer is open{mark}"),))
    assert printable(f"open{mark}é 抽屉").isprintable() and printable("é 抽屉") == "é 抽屉"

"""The shipped plans: all instructions of LIBERO, in the words that policies are taught."""

from __future__ import annotations

import re
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

from substep_core.language.motions import PICK_UP, PLACE
from substep_core.language.reader import parse
from substep_core.plan import Plan, Substep
from substep_planner.decomposers.library import find_plan, shipped_library
from substep_planner.decomposers.rules import plan_by_rules

SUITES = {"libero_spatial": 10, "libero_object": 10, "libero_goal": 10, "libero_10": 10, "libero_90": 90}


@pytest.fixture(scope="module")
def library():
    return shipped_library()


@pytest.fixture(scope="module")
def tasks(tmp_path_factory) -> dict[str, list[tuple[str, str]]]:
    """suite -> (the benchmark's instruction, the BDDL file's) of each task, from the real package."""
    root = Path(find_spec("libero").submodule_search_locations[0]) / "libero"
    # by path: importing the package would ask a question on stdin
    names = runpy.run_path(str(root / "benchmark" / "libero_suite_task_map.py"))["libero_task_map"]
    return {
        suite: [(_spoken(name), _language(root / "bddl_files" / suite / f"{name}.bddl")) for name in names[suite]]
        for suite in SUITES
    }


def _spoken(name: str) -> str:
    """As the benchmark reads an instruction from a task's name."""
    return re.sub(r"^[A-Z_]+SCENE\d+_", "", name).replace("_", " ")


def _language(path: Path) -> str:
    return re.search(r"\(:language\s+(.*?)\)", path.read_text())[1]


def test_the_library_is_read_once_and_cannot_be_changed(library):
    assert shipped_library() is library
    with pytest.raises(TypeError):
        library["libero_goal"]["do it"] = None


@pytest.mark.parametrize("suite", SUITES)
def test_every_instruction_of_libero_has_a_plan(library, tasks, suite):
    assert len(tasks[suite]) == SUITES[suite]
    for spoken, language in tasks[suite]:
        for instruction in (spoken, language):
            assert find_plan(library, instruction, suite)[0] == suite, instruction


def test_the_rules_find_the_same_motions_for_the_benchmarks_own_instructions(library, tasks):
    for suite, instructions in tasks.items():
        for spoken, _ in instructions:
            plan = library[suite][spoken]
            assert [s.instruction for s in plan_by_rules(spoken).substeps] == [s.instruction for s in plan.substeps]


def test_substeps_are_single_motions_in_the_shared_vocabulary(library):
    for plans in library.values():
        for plan in plans.values():
            for substep in plan.substeps:
                assert parse(substep.instruction).text == substep.instruction


def test_the_steps_of_a_plan_differ_in_words_and_in_effect(library):
    for plans in library.values():
        for plan in plans.values():
            for texts in zip(*((s.instruction, s.expected_effect) for s in plan.substeps), strict=True):
                assert len(set(texts)) == len(plan.substeps), plan


def test_every_pick_is_followed_by_its_placement(library):
    for plans in library.values():
        for plan in plans.values():
            kinds = [parse(substep.instruction).kind for substep in plan.substeps]
            for index, kind in enumerate(kinds):
                assert kind is not PICK_UP or kinds[index + 1] is PLACE, plan.instruction
                assert kind is not PLACE or kinds[index - 1] is PICK_UP, plan.instruction


def test_the_suite_decides_between_plans_of_one_instruction():
    from substep_planner.decomposers.library import find_plan

    def plan(text):
        return Plan("do it", (Substep(text, "it is done"),))

    library = {"libero_10": {"do it": plan("this way")}, "libero_90": {"do it": plan("that way")}}
    assert find_plan(library, "Do it.")[0] == "libero_10"
    assert find_plan(library, "do it", "libero_90")[1].substeps[0].instruction == "that way"
    assert find_plan(library, "do it", "libero_90_no_noops")[0] == "libero_90"
    assert find_plan(library, "do it", "elsewhere")[0] == "libero_10"
    assert find_plan(library, "do that") is None

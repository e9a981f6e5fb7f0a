"""Whether plans of models are made usable, and unusable ones found out."""

from __future__ import annotations

import pytest

from substep_core.plan import Plan, Substep
from substep_planner.decomposers.library import shipped_library
from substep_planner.decomposers.plan_checks import in_shared_words, missing_things, unknown_skills, untaught_skills


def plan(*steps: tuple[str, str]) -> Plan:
    return Plan("the task", tuple(Substep(*step) for step in steps))


def test_the_shipped_plans_are_in_the_shared_words_already():
    for plans in shipped_library().values():
        for shipped in plans.values():
            assert in_shared_words(shipped) == (shipped, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Grab the cup.", "pick up the mug"),
        ("Put the mug onto the plate", "place the mug on the plate"),
        ("pull open the cabinet's top drawer", "open the top drawer of the cabinet"),
        ("switch on the burner", "turn on the stove"),
        ("place the bowl on the bowl in the tray", "place the bowl on the bowl in the tray"),
        ("place the left moka pot on the stove", "place the left moka pot on the stove"),
        ("place the yellow and white mug on the right plate", "place the yellow and white mug on the right plate"),
    ],
)
def test_motions_are_put_into_the_shared_words(text, expected):
    made, problems = in_shared_words(plan((text, "Something is seen.")))
    assert (problems, made.substeps) == ([], (Substep(expected, "something is seen"),))


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (
            [("pick up the mug and place it on the plate", "seen")],
            "step 1: 'pick up the mug and place it on the plate'",
        ),
        ([("pick up both mugs", "seen")], "is not a single motion: "),
        ([("think about the mug", "seen")], "does not begin with an action"),
        ([("move the gripper to the mug", "seen")], "it moves the robot, not a thing"),
        ([("place it on the plate", "seen")], "'it' refers to nothing"),
        ([("pick up the mug", "pick up the mug")], "is an instruction, not something that a camera sees"),
        ([("pick up the mug", "place it somewhere")], "is an instruction"),
        ([("pick up the mug", "a"), ("pick up the bowl", "b")], "step 2: the gripper still holds the mug"),
        ([("pick up the mug", "the mug"), ("open the microwave", "open")], "step 2: the gripper still holds the mug"),
        (
            [("open the microwave", "abc"), ("place the mug in the microwave", "in")],
            "the mug is placed but was not picked up",
        ),
        ([("open the microwave", "done"), ("close the microwave", "Done.")], "step 2: the effect 'done' is that of"),
    ],
)
def test_unusable_plans_are_found_out(steps, problem):
    padded = [(text, effect if len(effect) > 2 else effect * 3) for text, effect in steps]
    made, problems = in_shared_words(plan(*padded))
    assert any(problem in found for found in problems), problems
    assert made == plan(*padded)


def test_things_that_the_scene_lacks_are_reported():
    steps = plan(
        ("pick up the red mug", "held"),
        ("place the red mug in the top drawer of the cabinet", "inside"),
        ("pick up the stapler", "held too"),
    )
    assert missing_things(steps, frozenset({"red_coffee_mug", "white_cabinet", "office_stapler"})) == []
    assert missing_things(steps, frozenset({"porcelain_mug", "wooden_cabinet"})) == ["red mug", "stapler"]
    assert missing_things(steps, frozenset()) == []


@pytest.mark.parametrize(
    ("step", "missing"),
    [
        ("pick up the bowl next to the ramekin", ["ramekin"]),
        ("pick up the bowl between the plate and the ramekin", ["ramekin"]),
        ("pick up the bowl on the stove", ["stove"]),
        ("pick up the bowl in the top drawer of the cabinet", ["cabinet"]),
        ("pick up the bowl from table center", []),
        ("pick up the bowl next to the plate", []),
        ("pick up the bowl on the left", []),
    ],
)
def test_what_a_thing_is_told_apart_by_must_be_there_too(step: str, missing: list[str]):
    assert missing_things(plan((step, "held")), frozenset({"akita_black_bowl", "plate"})) == missing


SKILLS = ("pick up", "place", "wipe", "pour")


def test_a_skill_that_the_contract_lists_and_the_language_lacks_passes():
    made, problems = in_shared_words(plan(("Wipe the table.", "The table is clean.")), SKILLS)
    assert problems == [] and made.substeps == (Substep("wipe the table", "the table is clean"),)
    assert in_shared_words(plan(("wipe the table", "the table is clean")))[1], "no robot that could is known"
    assert unknown_skills(made, SKILLS) == []


def test_a_skill_that_the_contract_does_not_list_is_named_with_those_that_it_does():
    unknown = unknown_skills(plan(("open the microwave", "the microwave is open")), SKILLS)
    assert unknown == ["'open the microwave' is none of its skills: pick up, place, wipe, pour"]
    assert unknown_skills(plan(("open the microwave", "the microwave is open")), ()) == []


def test_a_skill_that_the_policy_was_not_taught_is_named_with_those_that_it_was():
    taught = ("pick up", "place")
    wiped = plan(("wipe the table", "the table is clean"), ("pick up the mug", "the mug is held"))
    why = "'wipe the table' is none of what it was taught: pick up, place"
    assert untaught_skills(wiped, SKILLS, taught) == [why]
    assert untaught_skills(plan(("open the microwave", "it is open")), (), taught) == [
        "'open the microwave' is none of what it was taught: pick up, place"
    ]
    assert untaught_skills(wiped, SKILLS, ()) == [], "it is not known what it was taught"
    assert untaught_skills(wiped, SKILLS, (*taught, "wipe")) == []
    assert untaught_skills(plan(("get the table ready", "it is")), SKILLS, taught) == [], "a task in its own words"


def test_what_such_a_skill_acts_on_must_be_there_too():
    poured = plan(("pour the milk in the white bowl", "milk is in the bowl"))
    assert missing_things(poured, frozenset({"milk", "plate"}), SKILLS) == ["white bowl"]
    assert missing_things(poured, frozenset({"milk", "white_bowl"}), SKILLS) == []

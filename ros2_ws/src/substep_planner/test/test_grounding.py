"""The embedded language model: what people say, in view of what is there."""

from __future__ import annotations

import pytest

from substep_core.errors import ErrorCode, PlanningError
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.grounding.decomposer import GroundingDecomposer, create, shipped_reader
from substep_planner.decomposers.grounding.reading import words_of_text
from substep_planner.decomposers.grounding.scene import Entity, entities_of, noun_for
from substep_planner.decomposers.grounding.spelling import Speller
from substep_planner.decomposers.plan_checks import in_shared_words
from substep_planner.decomposers.registry import DecomposerSettings
from substep_planner.decomposers.rules import plan_by_rules

GOAL = frozenset(
    {"akita_black_bowl", "plate", "wine_bottle", "cream_cheese", "wooden_cabinet", "flat_stove", "wine_rack"}
)
BREAKFAST = frozenset(
    {"porcelain_mug", "white_yellow_mug", "red_coffee_mug", "plate", "microwave", "chocolate_pudding"}
)
DESK = frozenset({"black_book", "desk_caddy", "porcelain_mug"})


@pytest.fixture(scope="module")
def grounding():
    return create(DecomposerSettings())


def steps(decomposer, text: str, scene: frozenset[str]) -> list[str]:
    plan = decomposer.decompose(PlanRequest(text, objects=scene)).plan
    assert in_shared_words(plan)[1] == []
    return [step.instruction for step in plan.substeps]


def refusal(decomposer, text: str, scene: frozenset[str]) -> str:
    with pytest.raises(PlanningError) as error:
        decomposer.decompose(PlanRequest(text, objects=scene))
    assert error.value.code is ErrorCode.NO_PLAN
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Would you be so kind as to put the merlot on the wine holder?", "put the wine bottle on the rack"),
        ("for the picnic, the soft spreadable cheese belongs in the bowl", "put the cream cheese in the bowl"),
        ("Dont forget to set teh botle of wine atop the cupboard", "put the wine bottle on top of the cabinet"),
        ("grab the bowl thats on the cooker and put it on the plate", "put the bowl on the stove on the plate"),
        ("ignite the burner", "turn on the stove"),
        ("access the central drawer of the cupboard please", "open the middle drawer of the cabinet"),
        ("open the uppermost drawer and then pop the bowl inside", "open the top drawer and put the bowl inside"),
        ("slide the plate toward the front of the stove", "push the plate to the front of the stove"),
    ],
)  # fmt: skip
def test_other_words_descriptions_and_slips_are_understood(grounding, text, meant):
    assert steps(grounding, text, GOAL) == [step.instruction for step in plan_by_rules(meant).substeps]


def test_a_thing_is_described_by_colour_use_and_side(grounding):
    assert steps(grounding, "place the crimson cup used for drinking coffee on the left plate", BREAKFAST) == [
        "pick up the red mug",
        "place the red mug on the left plate",
    ]
    assert steps(grounding, "stow the novel in the rear section of the organizer", DESK) == [
        "pick up the book",
        "place the book in the back compartment of the caddy",
    ]


def test_what_may_mean_several_things_is_asked(grounding):
    question = refusal(grounding, "put the mug in the microwave", BREAKFAST)
    assert question.startswith("does 'the mug' mean the ") and question.endswith("mug?")
    assert steps(grounding, "put the white mug in the microwave", BREAKFAST)[0] == "pick up the white mug"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("put the banana on the plate", "the scene has no 'the banana'"),
        ("put the blue bowl on the stove", "the scene has no"),
        ("sing a song", "asks for nothing"),
        ("do not put the bowl on the plate", "asks for nothing"),
        ("throw the bowl at the plate", "asks for nothing"),
        ("what a lovely day", "asks for nothing"),
        ("???", "cannot be read"),
    ],
)
def test_what_is_not_there_not_possible_or_no_request_is_refused(grounding, text, why):
    assert why in refusal(grounding, text, GOAL)


def test_more_than_four_requests_in_one_sentence_are_all_planned(grounding):
    text = "open the top drawer and put the bowl inside and put the wine bottle on the rack"
    planned = steps(grounding, f"{text} and put the cream cheese on the plate and turn on the stove", GOAL)
    assert len(planned) == 8 and planned[-3:] == [
        "pick up the cream cheese",
        "place the cream cheese on the plate",
        "turn on the stove",
    ]


def test_more_than_a_plan_can_hold_is_refused_with_the_number():
    things = "alphabet_soup milk cream_cheese ketchup butter tomato_sauce orange_juice bbq_sauce salad_dressing".split()
    text = "put " + " and ".join(f"the {thing.replace('_', ' ')}" for thing in things) + " in the basket"
    sure = GroundingDecomposer(shipped_reader(), threshold=0.0)
    assert "18 motions are asked for at once, expected at most 16" in refusal(
        sure, text, frozenset({*things, "basket"})
    )


def test_numbers_that_cannot_be_told_apart_are_refused_and_two_are_two(grounding):
    scene = frozenset({"moka_pot", "flat_stove", "akita_black_bowl", "wooden_cabinet"})
    for number in ("3", "three", "0", "12", "a dozen"):
        assert f"the number {number.split()[-1]!r}" in refusal(grounding, f"put {number} moka pots on the stove", scene)
    both, two = (
        grounding.decompose(PlanRequest(f"put {word} moka pots on the stove", objects=scene)).plan.substeps
        for word in ("both", "2")
    )
    assert both == two and len(two) == 4
    assert len(steps(grounding, "put 1 moka pot on the stove", scene)) == 2
    assert steps(grounding, "open the top drawer of the 3 drawer cabinet", scene) == [
        "open the top drawer of the cabinet"
    ]


def test_both_of_what_there_is_one_of_is_refused(grounding):
    for count, is_enough in ((2, True), (1, False)):
        counts = {"moka_pot": count, "flat_stove": 1}
        request = PlanRequest("put both moka pots on the stove", objects=frozenset(counts), counts=counts)
        if is_enough:
            assert len(decompose(request, [grounding]).sourced.plan.substeps) == 4
            continue
        with pytest.raises(PlanningError, match="the scene has 1 moka pot, and 2 are picked up"):
            decompose(request, [grounding])


def test_it_says_what_each_phrase_was_taken_for(grounding):
    made = grounding.decompose(PlanRequest("set the merlot on the cooktop", objects=GOAL))
    assert made.understood == "'the merlot': wine bottle; 'the cooktop': stove"


def test_things_of_ones_own_are_called_by_their_names(grounding):
    scene = frozenset({"blue_block", "crate"})
    assert steps(grounding, "put the blue block on the crate", scene) == [
        "pick up the blue block",
        "place the blue block on the crate",
    ]


def test_after_a_failure_the_rest_is_planned(grounding):
    text = "switch on the burner and set the merlot on it"
    whole = grounding.decompose(PlanRequest(text, objects=GOAL)).plan
    rest = grounding.decompose(PlanRequest(text, objects=GOAL, done=whole.substeps[:1])).plan
    assert rest.substeps == whole.substeps[1:]


def test_a_file_that_is_no_model_is_named(tmp_path):
    file = tmp_path / "model.json"
    for content in (None, "{}", "[1]"):
        if content is not None:
            file.write_text(content)
        with pytest.raises(ValueError, match="model.json"):
            create(DecomposerSettings(grounding_model=str(file)))


def test_a_scene_has_things_their_parts_and_a_table():
    found = entities_of({"white_cabinet", "kitchen_table"})
    assert [entity.part for entity in found if entity.kind == "white_cabinet"] == [
        "", "top drawer", "middle drawer", "bottom drawer"
    ]  # fmt: skip
    assert Entity("table") in found and len(found) == 5


def test_a_noun_is_the_one_that_was_said_if_it_is_clear():
    two = frozenset({"akita_black_bowl", "white_bowl"})
    assert noun_for("akita_black_bowl", frozenset({"akita_black_bowl"}), "the bowl") == "bowl"
    assert noun_for("akita_black_bowl", two, "the bowl") == "black bowl"
    assert noun_for("akita_black_bowl", two, "the bowl", vague=True) == "bowl"
    assert noun_for("my_cup", two) == "my cup"


def test_slips_are_mended_and_words_split_as_dictation_has_them():
    speller = Speller(["yellow", "mug", "the"])
    assert [speller.mended(word) for word in ("yelow", "yellwo", "teh", "mug", "zebra")] == [
        "yellow", "yellow", "the", "mug", "zebra"
    ]  # fmt: skip
    assert words_of_text("The cabinet’s top-drawer!") == ["the", "cabinets", "top", "drawer"]

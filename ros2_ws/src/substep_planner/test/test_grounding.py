"""The embedded language model: what people say, in view of what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from substep_core.errors import ErrorCode, PlanningError
from substep_planner.decomposers.base import PlanRequest, UnsureError
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.grounding.decomposer import GroundingDecomposer, create, shipped_reader
from substep_planner.decomposers.plan_checks import in_shared_words
from substep_planner.decomposers.registry import DecomposerSettings
from substep_planner.decomposers.rules import RulesDecomposer, plan_by_rules

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


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (
            "please put two things on the plate: the bowl and the wine bottle",
            "put both the bowl and the wine bottle on the plate",
        ),
        ("open just the top drawer and put the bowl inside", "open the top drawer and put the bowl inside"),
        (
            "shut the bottom drawer of the cabinet, then pull open the top one",
            "close the bottom drawer of the cabinet and open the top drawer",
        ),
        ("switch the stove on", "turn on the stove"),
        ("switch off the stove", "turn off the stove"),
        ("I'm going to fry some eggs so put the bowl on the stove", "put the bowl on the stove"),
        (
            "First the bowl onto the plate. After that the wine bottle, same place.",
            "put both the bowl and the wine bottle on the plate",
        ),
        ("I want to see what's in the middle drawer, open it up", "open the middle drawer of the cabinet"),
        ("open the top drawer of the cabinet with three drawers", "open the top drawer of the cabinet"),
        ("öffne die obere Schublade des Schranks mit drei Schubladen", "open the top drawer of the cabinet"),
        ("abre el cajón superior del armario de tres cajones", "open the top drawer of the cabinet"),
        ("put teh botle on the palte", "put the wine bottle on the plate"),
        ("wine bottle -> rack", "put the wine bottle on the rack"),
        ("hide the bowl in the top drawer, you have to open it first", "open the top drawer and put the bowl inside"),
        ("the wine bottle belongs in its rack", "put the wine bottle on the rack"),
    ],
)
def test_everyday_speech_is_planned_as_it_is_meant(grounding, text, meant):
    assert steps(grounding, text, GOAL) == [step.instruction for step in plan_by_rules(meant).substeps]


def test_of_several_one_is_moved_and_a_side_is_of_the_place_it_is_said_of(grounding):
    bowls = frozenset({"akita_black_bowl", "plate", "wooden_cabinet"})
    assert len(steps(grounding, "of the three bowls, the one in the middle should go on the plate", bowls)) == 2
    assert len(steps(grounding, "one of the three bowls goes on the plate", bowls)) == 2
    stacked = ["pick up the bowl at the front", "place the bowl on the bowl in the middle"]
    for middle in ("middle", "center", "centre", "central"):
        assert steps(grounding, f"stack the front bowl onto the {middle} one", bowls) == stacked
    assert steps(grounding, "put the yellow and white mug in front of the white one", BREAKFAST)[1] == (
        "place the yellow and white mug to the front of the white mug"
    )
    assert steps(grounding, "place the white cup on the plate, and the pudding to its right", BREAKFAST)[3] == (
        "place the chocolate pudding to the right of the plate"
    )
    assert steps(grounding, "白色的杯子放盘子上，巧克力布丁放在盘子右边", BREAKFAST) == [
        "pick up the white mug",
        "place the white mug on the plate",
        "pick up the chocolate pudding",
        "place the chocolate pudding to the right of the plate",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "put the coffee in the basket",  # milk is for adding to coffee, and is no coffee
        "the butter is old, it goes in the fridge",
        "left basket: milk. right basket: butter.",
        "put it in the basket",
    ],
)
def test_what_was_named_otherwise_or_not_at_all_is_asked_not_guessed(grounding, text):
    refusal(grounding, text, frozenset({"milk", "basket", "butter"}))


def test_a_place_that_nothing_was_asked_to_go_to_is_asked_about(grounding):
    scene = frozenset({"butter", "akita_black_bowl", "wooden_cabinet"})
    with pytest.raises(PlanningError):
        grounding.decompose(PlanRequest("goes in the top drawer, and close it when you're done", objects=scene))


def test_a_thing_is_described_by_colour_use_and_side(grounding):
    assert steps(grounding, "place the crimson cup used for drinking coffee on the left plate", BREAKFAST) == [
        "pick up the red mug",
        "place the red mug on the left plate",
    ]
    assert steps(grounding, "stow the novel in the rear section of the organizer", DESK) == [
        "pick up the book",
        "place the book in the back compartment of the caddy",
    ]


def test_what_may_mean_several_things_is_asked_and_one_of_them_suggested(grounding):
    with pytest.raises(UnsureError, match="'the mug' may mean the .* mug or the .* mug") as error:
        grounding.decompose(PlanRequest("put the mug in the microwave", objects=BREAKFAST))
    asked, plan = error.value.clarification, error.value.suggested.plan
    pick = plan.substeps[0].instruction
    assert pick in ("pick up the white mug", "pick up the red mug", "pick up the yellow and white mug")
    assert asked == f"did you mean: {pick} and place it in the microwave?"
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


def test_what_comes_nearest_to_what_is_not_there_is_suggested(grounding):
    with pytest.raises(UnsureError, match="the scene has no 'the blue bowl'; understood: 'the stove': stove") as error:
        grounding.decompose(PlanRequest("put the blue bowl on the stove", objects=GOAL))
    assert error.value.clarification == "did you mean: the bowl, so pick up the bowl and place it on the stove?"
    with pytest.raises(PlanningError) as error:
        grounding.decompose(PlanRequest("put the banana on the plate", objects=GOAL))
    assert not isinstance(error.value, UnsureError), "nothing comes near"
    assert error.value.clarification.startswith("which is 'the banana': the ")
    with pytest.raises(UnsureError) as error:
        grounding.decompose(PlanRequest("put the bowl near the fridge on the plate", objects=GOAL))
    assert error.value.clarification == "did you mean: pick up the bowl and place it on the plate?"


def test_a_suggestion_is_taken_where_that_is_asked_for_and_no_decomposer_is_sure(grounding):
    request = PlanRequest("put the blue bowl on the stove", objects=GOAL)
    with pytest.raises(UnsureError, match="grounding: the scene has no"):
        decompose(request, [grounding, RulesDecomposer()])
    made = decompose(replace(request, take_suggestion=True), [grounding, RulesDecomposer()])
    assert [step.instruction for step in made.sourced.plan.substeps] == [
        "pick up the bowl",
        "place the bowl on the stove",
    ]
    assert any("the scene has no 'the blue bowl'" in remark for remark in made.remarks)
    sure = decompose(replace(request, instruction="put the bowl on the stove", take_suggestion=True), [grounding])
    assert not sure.passed_over, "what is sure is not asked"


def test_how_sure_it_must_be_is_a_threshold(grounding):
    strict = GroundingDecomposer([shipped_reader("en")], threshold=1.0)
    with pytest.raises(UnsureError, match="it is not sure what it asks for \\(\\d+%\\); understood: 'the bowl': bowl"):
        strict.decompose(PlanRequest("put the bowl on the plate", objects=GOAL))
    assert len(steps(grounding, "put the bowl on the plate", GOAL)) == 2


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
    sure = GroundingDecomposer([shipped_reader("en")], threshold=0.0)
    assert "18 motions are asked for at once, expected at most 16" in refusal(
        sure, text, frozenset({*things, "basket"})
    )


def test_things_in_a_row_go_to_one_place(grounding):
    scene = frozenset("alphabet_soup milk cream_cheese ketchup butter tomato_sauce orange_juice basket".split())
    text = "put the milk, the ketchup, the butter, the orange juice and the tomato sauce in the basket"
    planned = steps(grounding, text, scene)
    assert planned[::2] == [
        f"pick up the {thing}" for thing in ("milk", "ketchup", "butter", "orange juice", "tomato sauce")
    ]


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


@pytest.mark.parametrize(
    "text",
    [
        "Stell die Weinflasche bitte auf das Weinregal",
        "por favor, pon la botella de vino en el botellero",
        "请把酒瓶放到酒架上",
    ],
)
def test_other_languages_are_planned_in_the_words_of_the_policy(grounding, text):
    assert steps(grounding, text, GOAL) == ["pick up the wine bottle", "place the wine bottle on the rack"]


@pytest.mark.parametrize(
    "text", ["stell die Schüssel nicht auf den Teller", "no pongas el cuenco en el plato", "别把碗放在盘子上"]
)
def test_what_is_not_to_be_done_is_refused_in_other_languages(grounding, text):
    assert "asks for nothing" in refusal(grounding, text, GOAL)

"""What a sentence leaves to be decided or takes back, what only asks, and what cannot be done: never planned."""

from __future__ import annotations

import pytest

from substep_core.errors import PlanningError
from substep_planner.decomposers.base import PlanRequest, UnsureError
from substep_planner.decomposers.fallback import decompose

GOAL = frozenset(
    {"akita_black_bowl", "plate", "wine_bottle", "cream_cheese", "wooden_cabinet", "flat_stove", "wine_rack"}
)
MUGS = frozenset({"porcelain_mug", "red_coffee_mug", "white_yellow_mug", "plate"})
CUBES = frozenset({"red_cube", "blue_cube", "blue_crate"})
ON_THE_PLATE = ["pick up the bowl", "place the bowl on the plate"]
CHEESE_IN_THE_BOWL = ["pick up the cream cheese", "place the cream cheese in the black bowl"]
BLACK_ON_THE_PLATE = ["pick up the black bowl", "place the black bowl on the plate"]


def steps(decomposers, text: str, scene: frozenset[str] = GOAL, *, yes: bool = False) -> list[str]:
    sourced = decompose(PlanRequest(text, objects=scene, take_suggestion=yes), decomposers).sourced
    return [step.instruction for step in sourced.plan.substeps]


def refusal(decomposers, text: str, scene: frozenset[str] = GOAL) -> PlanningError:
    with pytest.raises(PlanningError) as error:
        made = decompose(PlanRequest(text, objects=scene), decomposers)
        pytest.fail(f"{text!r} is planned: {[step.instruction for step in made.sourced.plan.substeps]}")
    return error.value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("put the bowl or the cream cheese on the plate", "or"),
        ("either put the bowl on the plate or on the stove", "or"),
        ("turn the stove on or off", "or"),
        ("stell die Schüssel auf den Teller oder auf den Herd", "oder"),
        ("pon el cuenco en el plato o en la estufa", "o"),
        ("把碗放到盘子上或者炉子上", "或者"),
    ],
)
def test_of_two_none_is_chosen(decomposers, text, said):
    error = refusal(decomposers, text)
    assert f"{said!r} leaves open which of two is meant" in str(error)
    assert error.clarification == "which of the two is meant?"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("put the wine bottle, sorry I mean the bowl, on the plate", "i mean"),
        ("put the bowl on the stove no wait on the plate", "no wait"),
        ("put the bowl on the plate, actually no, on the stove", "actually no"),
        ("put the bowl on the plate, actually put it on the stove", "actually"),
        ("open the top drawer, I mean the bottom drawer", "i mean"),
        ("stell die Schüssel auf den Teller, äh nein, auf den Herd", "nein"),
        ("pon el cuenco en la estufa, no, mejor en el plato", "no"),
        ("把碗放到盘子上，不对，放到炉子上", "不对"),
    ],
)
def test_what_is_taken_back_is_not_done(decomposers, text, said):
    assert f"{said!r} takes back something that was said before" in str(refusal(decomposers, text))


@pytest.mark.parametrize(
    "text", ["put the bowl on the plate only if it is clean", "unless you are busy put the bowl on the plate"]
)
def test_a_condition_is_not_passed_over_but_may_be_waived(decomposers, text):
    error = refusal(decomposers, text)
    assert isinstance(error, UnsureError) and "it cannot look whether that holds: '" in str(error)
    assert steps(decomposers, text, yes=True) == ON_THE_PLATE


@pytest.mark.parametrize(
    "text",
    [
        "is the stove on?",
        "is that bowl on the plate",
        "has the bowl been put on the plate",
        "did you put the bowl on the plate",
        "have you put the bowl on the plate",
        "ist der Herd an?",
        "hast du die Schüssel auf den Teller gestellt",
        "¿está encendida la estufa?",
        "炉子开着吗",
    ],
)
def test_a_question_asks_for_nothing_to_be_done(decomposers, text):
    assert "it asks how things are, and for nothing to be done" in str(refusal(decomposers, text))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("is it possible to put the bowl on the plate", ON_THE_PLATE),
        ("are you able to put the bowl on the plate", ON_THE_PLATE),
        ("have you got a minute to put the bowl on the plate", ON_THE_PLATE),
        ("sorry to bother you, could you put the bowl on the plate", ON_THE_PLATE),
        ("put the bowl on the plate, sorry for the trouble", ON_THE_PLATE),
        ("no, put the bowl on the plate", ON_THE_PLATE),
        ("I mean it, put the bowl on the plate now", ON_THE_PLATE),
        ("put the bowl on the plate or whatever", ON_THE_PLATE),
        ("I can't reach the bowl, put it on the plate", ON_THE_PLATE),
        ("the bowl, the black one I mean, put that on the plate", ON_THE_PLATE),
        ("put the bowl on the plate without touching the bottle or the stove", ON_THE_PLATE),
        ("hast du kurz Zeit, die Schüssel auf den Teller zu stellen", BLACK_ON_THE_PLATE),
        ("the top drawer shouldn't be left open", ["close the top drawer of the cabinet"]),
        ("pon el queso crema dentro del cuenco", CHEESE_IN_THE_BOWL),
        ("把奶油奶酪放进碗里", CHEESE_IN_THE_BOWL),
    ],
)  # fmt: skip
def test_words_of_that_kind_in_talk_decide_nothing(decomposers, text, meant):
    assert steps(decomposers, text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "never touch the bowl",
        "don't open the top drawer",
        "you can't put the bowl on the plate",
        "you mustn't open the top drawer",
        "the bowl shouldn't be on the stove",
        "the stove shouldn't be on",
        "put neither the bowl nor the plate on the stove",
        "stell weder die Schüssel noch den Teller auf den Herd",
    ],
)
def test_what_is_forbidden_alone_is_not_done(decomposers, text):
    refusal(decomposers, text)


def test_it_says_that_nothing_else_is_asked_for(decomposers):
    assert "'never touch the bowl' says what is not to be done, and nothing else what is" in str(
        refusal(decomposers, "never touch the bowl")
    )


@pytest.mark.parametrize("scene", [GOAL, frozenset()], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("put the bowl behind the cabinet", "nothing can be put to the back of the cabinet"),
        ("stell die Schüssel hinter den Schrank", "nothing can be put to the back of the cabinet"),
        ("pon el cuenco detrás del armario", "nothing can be put to the back of the cabinet"),
        ("把碗放到柜子后面", "nothing can be put to the back of the cabinet"),
        ("put the bowl on the wine bottle", "nothing can be put on the wine bottle"),
        ("pon el cuenco dentro del plato", "nothing can be put in the plate"),
        ("put the stove on the plate", "the stove cannot be moved"),
    ],
)  # fmt: skip
def test_it_says_why_something_cannot_be_put_there(decomposers, text, why, scene):
    assert why in str(refusal(decomposers, text, scene))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("put the bowl on the bowl", "the bowl cannot be put on itself"),
        ("put the plate inside the plate", "nothing can be put in the plate"),
        ("pon el cuenco encima del cuenco", "the black bowl cannot be put on top of itself"),
        ("把碗放在碗上", "the black bowl cannot be put on itself"),
    ],
)
def test_nothing_is_put_onto_itself(decomposers, text, why):
    assert why in str(refusal(decomposers, text))


@pytest.mark.parametrize(
    "text",
    [
        "put the bowl on the plate which is on the stove",
        "turn the stove down",
    ],
)
def test_where_it_comes_from_is_not_where_it_goes(decomposers, text):
    assert "asks for nothing that the robot can do" in str(refusal(decomposers, text))


def test_what_is_taken_off_is_picked_up_and_not_put_back(decomposers):
    for text in ("take the bowl off the stove", "remove the bowl from the stove"):
        assert steps(decomposers, text) == ["pick up the bowl on the stove"]


@pytest.mark.parametrize(
    ("text", "scene", "which"),
    [
        ("put all mugs on the plate", MUGS, "the red mug or the white mug or the yellow and white mug"),
        ("put the mugs on the plate", MUGS, "the red mug or the white mug or the yellow and white mug"),
        ("put both cubes in the crate", CUBES, "the red cube or the blue cube"),
    ],
)
def test_several_kinds_are_no_two_of_one(decomposers, text, scene, which):
    error = refusal(decomposers, text, scene)
    assert f"may mean {which}" in str(error) and error.clarification == "which are meant, by name?"


def test_a_thing_of_ones_own_is_not_chosen_by_its_noun_alone(decomposers):
    assert "may mean the red cube or the blue cube" in str(refusal(decomposers, "put a cube in the crate", CUBES))
    assert steps(decomposers, "put the red cube in the crate", CUBES)[0] == "pick up the red cube"


def test_a_part_that_no_cabinet_has_is_not_there(decomposers):
    assert "the scene has no left drawer of the cabinet" in str(refusal(decomposers, "open the left drawer"))


def test_two_phrases_that_were_read_as_one_are_asked_about(decomposers):
    scene = frozenset({"porcelain_mug", "white_yellow_mug", "plate"})
    assert isinstance(refusal(decomposers, "white mug left plate, yellow one right plate", scene), UnsureError)

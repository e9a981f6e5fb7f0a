"""What a sentence leaves out, forbids, or asks for where there is no room: never planned as if it were not said."""

from __future__ import annotations

import pytest

from substep_core.errors import PlanningError
from substep_planner.decomposers.base import PlanRequest, UnsureError
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.grounding.draft import Draft
from substep_planner.decomposers.grounding.places import take_preposition

GOAL = frozenset(
    {"akita_black_bowl", "plate", "wine_bottle", "cream_cheese", "wooden_cabinet", "flat_stove", "wine_rack"}
)
ON_THE_PLATE = ["pick up the bowl", "place the bowl on the plate"]
BLACK_ON_THE_PLATE = ["pick up the black bowl", "place the black bowl on the plate"]
ON_THE_RACK = ["pick up the wine bottle", "place the wine bottle on the rack"]


def steps(decomposers, text: str, scene: frozenset[str] = GOAL) -> list[str]:
    sourced = decompose(PlanRequest(text, objects=scene), decomposers).sourced
    return [step.instruction for step in sourced.plan.substeps]


def refusal(decomposers, text: str, scene: frozenset[str] = GOAL) -> PlanningError:
    with pytest.raises(PlanningError) as error:
        made = decompose(PlanRequest(text, objects=scene), decomposers)
        pytest.fail(f"{text!r} is planned: {[step.instruction for step in made.sourced.plan.substeps]}")
    assert not isinstance(error.value, UnsureError), "yes is no answer to it"
    return error.value


@pytest.mark.parametrize("scene", [GOAL, frozenset()], ids=["known", "unknown"])
@pytest.mark.parametrize(
    "text",
    [
        "put everything except the bowl on the plate",
        "put all the things but the bowl on the plate",
        "put everything but the cream cheese on the stove",
        "put everything on the plate except the wine bottle",
        "put everything apart from the bowl on the stove",
        "excpet for the bowl put all of it on the plate",
        "put the wine bottle anywhere except on the rack",
        "put the bowl anywhere but on the plate",
        "put the bowl on anything other than the plate",
        "put the bowl somewhere else than on the plate",
        "stell alles außer der Schüssel auf den Teller",
        "stell alles bis auf die Weinflasche auf den Herd",
        "stell die Weinflasche irgendwohin außer auf das Weinregal",
        "stell die Schüssel überallhin, nur nicht auf den Teller",
        "pon todo excepto el cuenco en el plato",
        "pon todo menos la botella de vino en la estufa",
        "pon el cuenco en cualquier sitio salvo en el plato",
        "pon todas las cosas en el plato, aparte del cuenco",
        "除了碗，把所有东西放到盘子上",
        "把除碗以外的东西都放到盘子上",
        "把碗放到除了盘子以外的地方",
        "把酒瓶放在除酒架之外的任何地方",
    ],
)
def test_all_but_one_is_not_the_one(decomposers, text, scene):
    refusal(decomposers, text, scene)


@pytest.mark.parametrize(
    "text",
    [
        "put the bowl on the plate without touching the plate",
        "put the bowl on the plate without moving the bowl",
        "put the bowl on the plate and dont touch the bowl",
        "without touching it, put the bowl on the plate",
        "put the bowl on the plate, but never on the plate",
        "stell die Schüssel auf den Teller, ohne den Teller zu berühren",
        "stell die Schüssel auf den Teller und berühr sie nicht",
        "pon el cuenco en el plato sin tocar el plato",
        "pon el cuenco en el plato, no muevas el cuenco",
        "把碗放到盘子上，不要碰盘子",
        "不要碰碗，把碗放到盘子上",
    ],
)
def test_what_contradicts_itself_is_refused(decomposers, text):
    refusal(decomposers, text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("put the bowl on the plate, not on the stove", ON_THE_PLATE),
        ("put the bowl not on the stove but on the plate", ON_THE_PLATE),
        ("put the bowl, not the bottle, on the plate", ON_THE_PLATE),
        ("put the wine bottle on the rack instead of the stove", ON_THE_RACK),
        ("instead of the stove, put the wine bottle on the rack", ON_THE_RACK),
        ("put the wine bottle on the rack rather than on the stove", ON_THE_RACK),
        ("put the bowl on the plate but don't touch the wine bottle", ON_THE_PLATE),
        ("put the bowl on the plate without touching the wine bottle", ON_THE_PLATE),
        ("without touching the stove, put the bowl on the plate", ON_THE_PLATE),
        ("put the bowl on the plate without dropping it", ON_THE_PLATE),
        ("don't open the drawer, put the wine bottle on the rack", ON_THE_RACK),
        ("stell die Schüssel auf den Teller, nicht auf den Herd", BLACK_ON_THE_PLATE),
        ("stell die Schüssel nicht auf den Herd, sondern auf den Teller", BLACK_ON_THE_PLATE),
        ("stell die Weinflasche auf das Weinregal statt auf den Herd", ON_THE_RACK),
        ("stell die Schüssel auf den Teller, ohne die Weinflasche zu berühren", BLACK_ON_THE_PLATE),
        ("pon el cuenco en el plato, no en la estufa", BLACK_ON_THE_PLATE),
        ("pon el cuenco en el plato en vez de la estufa", BLACK_ON_THE_PLATE),
        ("pon el cuenco en el plato sin tocar la botella de vino", BLACK_ON_THE_PLATE),
        ("把碗放到盘子上，不要放到炉子上", BLACK_ON_THE_PLATE),
        ("把碗放到盘子上，别碰酒瓶", BLACK_ON_THE_PLATE),
    ],
)
def test_what_is_left_out_of_what_can_be_done_is_not_done(decomposers, text, meant):
    assert steps(decomposers, text) == meant


def test_a_state_that_is_not_to_be_is_not_turned_round(decomposers):
    closed = ["close the top drawer of the cabinet"]
    assert steps(decomposers, "the top drawer of the cabinet should not be left open") == closed


def test_it_says_what_was_left_out_and_what_was_understood_and_asks_for_the_rest(decomposers):
    things = refusal(decomposers, "put everything except the bowl on the plate")
    assert "'everything except the bowl' says what is not meant, and nothing else says what is" in str(things)
    assert "understood: 'the plate': plate" in str(things)
    assert things.clarification == "which things are meant, by name?"
    place = refusal(decomposers, "put the wine bottle anywhere except on the rack")
    assert "understood: 'the wine bottle': wine bottle" in str(place) and place.clarification == "where is it to go?"
    both = refusal(decomposers, "put the bowl on the plate without touching the plate")
    assert "'without touching the plate' contradicts the rest of it" in str(both)
    assert "'除碗以外的东西都放' says what is not meant" in str(refusal(decomposers, "把除碗以外的东西都放到盘子上"))


@pytest.mark.parametrize("scene", [GOAL, frozenset()], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("put the bowl under the plate", "nothing can be put under the plate"),
        ("put the bowl beneath the plate", "nothing can be put under the plate"),
        ("put the wine bottle below the stove", "nothing can be put under the stove"),
        ("slide the bowl underneath the wine rack", "nothing can be put under the"),
        ("place the bowl inside the plate", "nothing can be put in the plate"),
        ("put the cream cheese inside the stove", "nothing can be put in the stove"),
        ("put the plate on the ceiling", "the ceiling"),
        ("put the bowl on the wall", "the wall"),
        ("stell die Schüssel unter den Teller", "nothing can be put under the plate"),
        ("pon el cuenco debajo del plato", "nothing can be put under the plate"),
        ("把碗放到盘子下面", "nothing can be put under the plate"),
    ],
)
def test_where_there_is_no_room_nothing_is_put(decomposers, text, why, scene):
    assert why in str(refusal(decomposers, text, scene))


def test_where_there_is_room_it_is_put(decomposers):
    shelf = frozenset({"chefmate_8_frypan", "wooden_two_layer_shelf", "akita_black_bowl"})
    assert steps(decomposers, "put the skillet underneath the shelf", shelf)[1] == (
        "place the frying pan under the shelf"
    )
    called_so = frozenset({"chefmate_8_frypan", "wooden_two_layer_shelf", "white_cabinet"})
    placed = steps(decomposers, "put the skillet underneath the shelf", called_so)[1]
    assert placed.startswith("place the frying pan under the ")
    assert steps(decomposers, "put the cream cheese inside the bowl")[1] == "place the cream cheese in the bowl"
    assert steps(decomposers, "put the wine bottle in the rack") == ON_THE_RACK
    assert steps(decomposers, "put the bowl behind the plate")[1] == "place the bowl to the back of the plate"


def test_what_a_known_scene_lacks_is_not_planned_by_its_words_alone(decomposers):
    blocks = frozenset({"blue_block", "crate"})
    assert "the scene has no 'the red block'" in str(
        pytest.raises(PlanningError, steps, decomposers, "put the red block on the crate", blocks).value
    )
    with pytest.raises(PlanningError, match="the scene has no fridge"):
        steps(decomposers, "open the fridge")
    assert steps(decomposers, "open the fridge", frozenset()) == ["open the fridge"], "there may be one"


def test_of_a_scene_that_is_not_known_nothing_is_said_to_be_missing(decomposers):
    made = decompose(PlanRequest("put the banana on the plate"), decomposers)
    assert [step.instruction for step in made.sourced.plan.substeps] == [
        "pick up the banana",
        "place the banana on the plate",
    ]
    (remark,) = (one for one in made.remarks if one.startswith("grounding"))
    assert remark == "grounding: it knows no 'the banana'; understood: 'the plate': plate"


def test_it_names_nothing_that_was_not_said_and_chinese_as_it_was(decomposers):
    grounding = decomposers[1]
    for text, understood in (
        ("set the bowl on the cooktop", "'the bowl': bowl; 'the cooktop': stove"),
        ("please place the cup on the plate", "'the cup': mug; 'the plate': plate"),
        (
            "open the uppermost drawer of the cupboard",
            "'the uppermost drawer of the cupboard': top drawer of the cabinet",
        ),
        ("请把酒瓶放到酒架上", "'酒瓶': wine bottle; '酒架上': rack"),
    ):
        assert grounding.decompose(PlanRequest(text)).understood == understood


def test_a_refusal_says_what_was_understood(decomposers):
    thrown = refusal(decomposers, "throw the bowl at the plate")
    assert "asks for nothing that the robot can do with what is there; understood: 'the bowl': bowl" in str(thrown)
    stored = refusal(decomposers, "I'd like the wine stored up there on the rack")
    assert "understood: 'the wine': wine bottle; 'the rack': rack" in str(stored)


def test_to_alone_is_no_side_of_a_thing():
    for words, preposition in ((("to",), ""), (("over", "to"), ""), (("to", "the", "front", "of"), "to the front of")):
        draft = Draft({})
        take_preposition(draft, "to the front of", words)
        assert draft.preposition == preposition

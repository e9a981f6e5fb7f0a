"""The rules on sentences that are not in the library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.rules.decomposer import RulesDecomposer, plan_by_rules
from substep_planner.errors import ErrorCode, PlanningError


def motions(instruction: str) -> list[str]:
    return [substep.instruction for substep in plan_by_rules(instruction).substeps]


SENTENCES = {
    "put both mugs on the plate": [
        "pick up the left mug",
        "place the left mug on the plate",
        "pick up the right mug",
        "place the right mug on the plate",
    ],
    "Please put the milk into the basket.": ["pick up the milk", "place the milk in the basket"],
    "turn the stove on, then set the pan on it": [
        "turn on the stove",
        "pick up the frying pan",
        "place the frying pan on the stove",
    ],
    "switch off the burner": ["turn off the stove"],
    "put the milk, the orange juice and the butter in the basket": [
        "pick up the milk",
        "place the milk in the basket",
        "pick up the orange juice",
        "place the orange juice in the basket",
        "pick up the butter",
        "place the butter in the basket",
    ],
    "put the white mug on the left plate and the yellow and white mug on the right one": [
        "pick up the white mug",
        "place the white mug on the left plate",
        "pick up the yellow and white mug",
        "place the yellow and white mug on the right plate",
    ],
    "pick up the red mug, open the microwave and put it inside": [  # the gripper must be free to open
        "open the microwave",
        "pick up the red mug",
        "place the red mug in the microwave",
    ],
    "take the black bowl out of the top drawer of the cabinet, close the drawer and put the bowl on the plate": [
        "pick up the black bowl in the top drawer of the cabinet",
        "place the black bowl on the plate",
        "close the top drawer of the cabinet",
    ],
    "put the bowl inside the closed top drawer": [
        "open the top drawer of the cabinet",
        "pick up the bowl",
        "place the bowl in the top drawer of the cabinet",
    ],
    "open the microwave; put the red mug in it; finally shut its door": [
        "open the microwave",
        "pick up the red mug",
        "place the red mug in the microwave",
        "close the microwave",
    ],
    "transfer the black bowl from the stove to the plate": [
        "pick up the black bowl on the stove",
        "place the black bowl on the plate",
    ],
    "put the black bowl next to the ramekin on the plate": [
        "pick up the black bowl next to the ramekin",
        "place the black bowl on the plate",
    ],
    "put the black bowl on the plate next to the ramekin": [
        "pick up the black bowl",
        "place the black bowl on the plate next to the ramekin",
    ],
    "put the left moka pot on the stove and then the right one": [
        "pick up the left moka pot",
        "place the left moka pot on the stove",
        "pick up the right moka pot",
        "place the right moka pot on the stove",
    ],
    "set the white mug on the plate and the chocolate pudding to its right": [
        "pick up the white mug",
        "place the white mug on the plate",
        "pick up the chocolate pudding",
        "place the chocolate pudding to the right of the plate",
    ],
    "insert the book in the caddy's rear compartment": [
        "pick up the book",
        "place the book in the back compartment of the caddy",
    ],
    "slide the plate in front of the stove": ["push the plate to the front of the stove"],
    "close the top drawer of the cabinet and put the black bowl on top of it": [
        "close the top drawer of the cabinet",
        "pick up the black bowl",
        "place the black bowl on top of the cabinet",
    ],
    "pull open the cabinet's middle drawer": ["open the middle drawer of the cabinet"],
    "stack the left bowl on the right bowl and place them in the tray": [
        "pick up the right bowl",
        "place the bowl in the tray",
        "pick up the bowl outside the tray",
        "place the bowl on the bowl in the tray",
    ],
    "get the ketchup": ["pick up the ketchup"],
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentences_become_motions_in_a_workable_order(sentence):
    assert motions(sentence) == SENTENCES[sentence]


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("make me happy", "does not begin with an action that the rules know"),
        ("put the bowl", "'the bowl' does not say where to put it"),
        ("put it on the plate", "'it' refers to nothing"),
        ("close it", "'it' refers to nothing"),
        ("put the stove on the plate", "the stove cannot be moved"),
        ("open the basket", "the basket has nothing to open"),
        ("turn on the plate", "the plate has nothing to turn on"),
        ("open the drawer", "'drawer' does not say which drawer"),
        ("put the mugs on the plate", "'the mugs' does not say how many"),
        ("put all mugs on the plate", "'all' (an unknown number of things) is beyond the rules"),
        ("do not touch the mug", "'not' (a negation) is beyond the rules"),
        ("put the milk in the basket or the tray", "'or' (a choice) is beyond the rules"),
        ("if the stove is on, turn it off", "'if' (a condition) is beyond the rules"),
        ("pick up the mug and the bowl", "one gripper cannot hold mug and bowl"),
        ("pick up the mug and pick up the bowl", "the mug is still held"),
        ("put the bowl on the bowl", "the bowl cannot be placed on or in itself"),
        ("push the mug and the bowl to the front of the stove", "names 2 things, expected one"),
        ("put the bowl upside down on the plate", "'bowl upside down' cannot be read as the name of a thing"),
        ("open the microwave and pick up the mug and close it", "needs a free hand"),
    ],
)
def test_what_the_rules_cannot_plan_is_refused_with_the_reason(sentence, reason):
    with pytest.raises(PlanningError) as error:
        plan_by_rules(sentence)
    assert error.value.code is ErrorCode.NO_PLAN
    assert repr(sentence) in str(error.value) and reason in str(error.value)


def test_what_was_done_is_not_planned_again():
    done = plan_by_rules("put the milk in the basket").substeps[:1]
    sourced = RulesDecomposer().decompose(PlanRequest("put the milk in the basket", done=done))
    assert [substep.instruction for substep in sourced.plan.substeps] == ["place the milk in the basket"]
    other = plan_by_rules("open the microwave").substeps
    with pytest.raises(PlanningError, match="does not begin with what was done"):
        RulesDecomposer().decompose(PlanRequest("put the milk in the basket", done=other))


WORDS = sorted({word for sentence in SENTENCES for word in sentence.split()} | {"and", ",", "of", "next", "to", "both"})


@given(st.one_of(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join), st.text(max_size=80)))
def test_any_sentence_gives_a_plan_or_a_planning_error(sentence):
    try:
        plan = plan_by_rules(sentence)
    except PlanningError:
        return
    assert plan.substeps

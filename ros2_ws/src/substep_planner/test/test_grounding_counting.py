"""How many of a kind a sentence asks for."""

from __future__ import annotations

import pytest

from substep_core.errors import ErrorCode, PlanningError
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.grounding.decomposer import create
from substep_planner.decomposers.registry import DecomposerSettings

SCENE = frozenset({"moka_pot", "flat_stove", "akita_black_bowl", "plate", "wooden_cabinet"})
FROM_OUTSIDE = ["pick up the left moka pot outside the stove", "place the moka pot on the stove"]


@pytest.fixture(scope="module")
def grounding():
    return create(DecomposerSettings())


def steps(grounding, text: str, **counts: int) -> list[str]:
    """Args: counts: how many there are of each kind; none: that is not known."""
    request = PlanRequest(text, objects=frozenset(counts) or SCENE, counts=counts)
    return [step.instruction for step in decompose(request, [grounding]).sourced.plan.substeps]


def test_so_many_of_a_kind_as_are_said_are_moved(grounding):
    for word in ("both", "2", "two"):
        assert steps(grounding, f"put {word} moka pots on the stove")[::2] == [
            "pick up the left moka pot",
            "pick up the right moka pot",
        ]
    for word in ("3", "three", "all three", "the three"):
        assert steps(grounding, f"put {word} moka pots on the stove", moka_pot=3, flat_stove=1) == 3 * FROM_OUTSIDE
    assert steps(grounding, "put the moka pots on the stove", moka_pot=3, flat_stove=1) == 3 * FROM_OUTSIDE
    assert steps(grounding, "put 1 moka pot on the stove")[0] == "pick up the moka pot"


def test_more_than_there_are_is_refused(grounding):
    with pytest.raises(PlanningError, match="the scene has 2 moka pot, and 3 are picked up"):
        steps(grounding, "put three moka pots on the stove", moka_pot=2, flat_stove=1)
    assert len(steps(grounding, "put both moka pots on the stove", moka_pot=2, flat_stove=1)) == 4
    with pytest.raises(PlanningError, match="the scene has 1 moka pot, and 2 are picked up"):
        steps(grounding, "put both moka pots on the stove", moka_pot=1, flat_stove=1)


@pytest.mark.parametrize("text", ["open the top drawer of the 3 drawer cabinet", "打开三层柜子的上层抽屉"])
def test_a_number_that_says_how_a_thing_is_made_counts_nothing(grounding, text):
    assert steps(grounding, text) == ["open the top drawer of the cabinet"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("put 0 bowls on the plate", "the number '0' is in it"),
        ("put the bowl on the plate 5 times", "not clear what there are to be '5' of"),
        ("put a dozen moka pots on the stove", "24 motions"),
    ],
)
def test_numbers_that_say_of_nothing_how_many_or_are_too_large_are_refused(grounding, text, why):
    with pytest.raises(PlanningError, match=why) as error:
        steps(grounding, text)
    assert error.value.code is ErrorCode.NO_PLAN


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("stelle drei Espressokocher auf den Herd", 3),
        ("stell die 3 Espressokocher auf den Herd", 3),
        ("stelle vier Espressokocher auf den Herd", 4),
        ("pon tres cafeteras en la estufa", 3),
        ("coloca las cuatro cafeteras sobre la estufa", 4),
        ("把三个摩卡壶放到炉子上", 3),
        ("把四个摩卡壶都放到炉子上", 4),
        ("把3个摩卡壶放到炉子上", 3),
    ],
)
def test_numbers_beyond_two_are_understood_in_other_languages(grounding, text, number):
    assert steps(grounding, text, moka_pot=number, flat_stove=1) == FROM_OUTSIDE * number
    with pytest.raises(PlanningError, match=f"the scene has {number - 1} moka pot, and {number} are picked up"):
        steps(grounding, text, moka_pot=number - 1, flat_stove=1)

"""The rules on other wordings of LIBERO's instructions."""

from __future__ import annotations

from collections import Counter

import pytest

from substep_core.errors import PlanningError
from substep_core.language.nouns import NOUNS
from substep_core.language.reader import parse
from substep_core.plan import Plan
from substep_planner.decomposers.library import shipped_library
from substep_planner.decomposers.plan_checks import in_shared_words
from substep_planner.decomposers.rules import plan_by_rules
from substep_planner.paraphrases import shipped_paraphrases

PARAPHRASES = [
    (suite, instruction, wording)
    for suite, instructions in shipped_paraphrases().items()
    for instruction, wordings in instructions.items()
    for wording in wordings
]


def same_meaning(left: Plan, right: Plan) -> bool:
    """Whether both plans do the same to the same kinds of things, in any order."""
    return Counter(map(_kinds, left.substeps)) == Counter(map(_kinds, right.substeps))


def _kinds(substep) -> tuple:
    motion = parse(substep.instruction)
    place = motion.place
    return (
        motion.kind.name,
        _kind(motion.thing.name),
        None if place is None else (place.preposition, _kind(place.thing.name)),
    )


def _kind(name: str) -> str:
    """The rarest category that a noun may stand for, so that "bowl" and "black bowl" are the same here."""
    return NOUNS[name].categories[0] if name in NOUNS else name


def test_there_are_a_hundred_and_more():
    assert len(PARAPHRASES) == len(set(PARAPHRASES)) >= 100
    library = shipped_library()
    assert all(
        instruction in library[suite] and wording not in library[suite] for suite, instruction, wording in PARAPHRASES
    )


@pytest.mark.parametrize("suite", shipped_paraphrases())
def test_other_words_give_the_same_motions_in_a_workable_order(suite):
    library = shipped_library()
    for found, instruction, wording in PARAPHRASES:
        if found == suite:
            plan = plan_by_rules(wording)
            assert in_shared_words(plan)[1] == []
            assert same_meaning(plan, library[suite][instruction]), (wording, plan.substeps)


@pytest.mark.parametrize(
    "wording",
    [
        "the basket needs the bbq sauce: put it in",
        "push the plate until it is in front of the stove",
        "turn the stove's knob to switch it on",
        "grab the alphabet soup and drop it into the basket; do the same with the cream cheese box",
        "collect the alphabet soup and the cream cheese box in the basket",
        "put the bowl in the top drawer after opening it",
        "put the bowl into the top drawer of the cabinet, opening it first",
        "the orange juice belongs in the basket, put it there",
    ],
)
def test_wordings_beyond_the_rules_are_refused_not_guessed(wording):
    with pytest.raises(PlanningError, match="no plan for"):
        plan_by_rules(wording)

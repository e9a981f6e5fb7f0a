"""Words that change a running task, without ROS."""

from __future__ import annotations

import itertools

import pytest

from substep_core.errors import PlanningError
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.grounding.decomposer import create
from substep_planner.decomposers.registry import DecomposerSettings
from substep_planner.decomposers.rules import RulesDecomposer, plan_by_rules
from substep_planner.revision import Running, revise, says_stop

SCENE = frozenset({"porcelain_mug", "white_yellow_mug", "plate", "microwave", "white_cabinet", "flat_stove"})
TASK = "put the white mug on the plate and turn on the stove"
WHOLE = plan_by_rules(TASK).substeps


@pytest.fixture(scope="module")
def plan_of():
    decomposers = (create(DecomposerSettings()), RulesDecomposer())
    return lambda text: decompose(PlanRequest(text, objects=SCENE), decomposers).sourced.plan


def running(done: int, task: str = TASK) -> Running:
    substeps = plan_by_rules(task).substeps
    return Running(substeps[:done], substeps[done:], SCENE)


def test_what_is_held_already_is_not_picked_up_instead_of_being_placed(plan_of):
    with pytest.raises(PlanningError, match="is held already") as error:
        revise("instead pick up the white mug", running(1), plan_of)
    assert error.value.clarification == "where is the white mug to go?"


def left(words: str, now: Running, plan_of) -> list[str]:
    return [step.instruction for step in revise(words, now, plan_of).remaining]


STOPS = (
    "stop,Stop!,no stop it please,never mind,ok cancel that,don't,stop the robot,Robot stop!,stop the arm,don't move,"
    "wait,hold on,hold on a second,pause,Stopp!,Bitte anhalten,¡Para!,detente ya,停,停下！,别动"
).split(",")


@pytest.mark.parametrize("words", STOPS)
def test_a_stop_ends_the_task(plan_of, words):
    assert says_stop(words) and revise(words, running(1), plan_of).is_stop


@pytest.mark.parametrize("words", ["stop putting the mug there and open the drawer", "no", "and stop the stove"])
def test_what_says_more_is_no_stop(words):
    assert not says_stop(words)


@pytest.mark.parametrize(
    ("task", "done", "words", "expected"),
    [
        (TASK, 0, "no, the other mug",
         ["pick up the yellow and white mug", "place the yellow and white mug on the plate", "turn on the stove"]),
        (TASK, 1, "no, the other mug",
         ["place the white mug on the table", "pick up the yellow and white mug",
          "place the yellow and white mug on the plate", "turn on the stove"]),
        (TASK, 1, "instead put it in the microwave", ["place the white mug in the microwave", "turn on the stove"]),
        (TASK, 0, "in the microwave instead",
         ["pick up the white mug", "place the white mug in the microwave", "turn on the stove"]),
        (TASK, 0, "I meant the yellow and white mug",
         ["pick up the yellow and white mug", "place the yellow and white mug on the plate", "turn on the stove"]),
        ("put the left mug on the plate", 0, "no, the right one",
         ["pick up the right mug", "place the mug on the plate"]),
        ("put the white mug in the microwave", 1, "and then close it",
         ["place the white mug in the microwave", "close the microwave"]),
        ("open the top drawer of the cabinet", 0, "and then close it",
         ["open the top drawer of the cabinet", "close the top drawer of the cabinet"]),
        (TASK, 2, "and put the yellow and white mug in the microwave",
         ["turn on the stove", "pick up the yellow and white mug", "place the yellow and white mug in the microwave"]),
    ],
)  # fmt: skip
def test_words_change_what_they_speak_of_and_nothing_else(plan_of, task, done, words, expected):
    assert left(words, running(done, task), plan_of) == expected


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "nothing was said"),
        ("no", "does not say what is meant instead"),
        ("what a lovely day", "does not say how the task is to change"),
        ("no, the banana", "the scene has no"),
        ("and then sing a song", "sing a song"),
    ],
)
def test_what_is_not_understood_changes_nothing_and_says_why(plan_of, words, why):
    with pytest.raises(PlanningError, match=why):
        revise(words, running(0), plan_of)


def test_which_other_one_is_asked(plan_of):
    scene = SCENE | {"red_coffee_mug"}
    with pytest.raises(PlanningError, match="the other mug may be the red mug or the .* mug") as error:
        revise("no, the other mug", Running(WHOLE[:0], WHOLE, scene), plan_of)
    assert error.value.clarification.startswith("which one: the red mug or the ")


WORDS = ("stop", "no, the other mug", "and then open the microwave", "instead put it in the microwave", "no", "hm")


@pytest.mark.parametrize(("done", "words"), list(itertools.product(range(len(WHOLE)), WORDS)))
def test_whatever_is_said_what_is_done_is_kept_and_the_rest_can_be_carried_out(plan_of, done, words):
    now = running(done)
    try:
        revision = revise(words, now, plan_of)
    except PlanningError:
        return
    if revision.is_stop:
        assert says_stop(words)
        return
    holds = done == 1
    for step in revision.remaining:  # picked up before it is placed, placed before the next is picked up
        if step.instruction.startswith("place"):
            assert holds
            holds = False
        else:
            assert not holds
            holds = step.instruction.startswith("pick up")
    assert not holds
    if words.startswith("and"):
        assert revision.remaining[: len(now.remaining)] == now.remaining
    else:
        assert revision.remaining[-1] == now.remaining[-1] or done == len(WHOLE) - 1

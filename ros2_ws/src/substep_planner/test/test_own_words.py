"""The policy's own words: what the planner takes as a substep, what it refuses, and when a substep is done by them."""

from __future__ import annotations

import pytest

from substep_core.errors import ErrorCode, PlanningError
from substep_core.named_substep import TASK_DONE, NamedSubstep
from substep_core.plan import Plan, Substep
from substep_planner.completion.own_words import OwnWordsScorer
from substep_planner.completion.registry import CompletionSettings, load_scorer
from substep_planner.decomposers.base import PlanRequest, SourcedPlan
from substep_planner.decomposers.fallback import decompose
from substep_planner.decomposers.own_words import MOST_TIMES
from substep_planner.decomposers.registry import DecomposerSettings, load_decomposers

TASK = "put the milk in the basket"
PICK = Substep("pick up the milk", "the gripper holds the milk in the air")
SCENE = frozenset({"milk", "basket"})


def said(text: str, probability: float = 0.9, is_complete: bool = True) -> NamedSubstep:
    return NamedSubstep(text, probability, is_complete)


def asked(text: str, done=(), objects=SCENE, decomposers=("policy",), **more):
    request = PlanRequest(TASK, done=tuple(done), objects=objects, ask_policy=lambda: said(text, **more))
    return decompose(request, load_decomposers(decomposers, DecomposerSettings())).sourced


def refusal(text: str, **more) -> str:
    with pytest.raises(PlanningError) as caught:
        asked(text, **more)
    assert caught.value.code is ErrorCode.INVALID_PLAN
    return str(caught.value)


def test_words_are_a_plan_of_one_substep_that_may_go_on():
    sourced = asked("Grab the milk")
    assert sourced.plan.substeps == (PICK,) and sourced.is_open and sourced.source == "policy"


def test_the_words_that_nothing_is_left_end_a_task_that_has_begun():
    assert asked(TASK_DONE, done=[PICK]).plan is None
    assert "and nothing was done yet" in refusal(TASK_DONE)


def test_words_that_cannot_be_carried_out_are_refused():
    assert "the scene has no mug" in refusal("pick up the mug")
    assert "not a single motion" in refusal("dance")
    assert "do not come to an end" in refusal("pick up the milk", is_complete=False)
    assert f"done {MOST_TIMES} times already" in refusal("pick up the milk", done=[PICK] * MOST_TIMES)


def test_the_next_decomposer_takes_over_and_the_source_says_so():
    sourced = asked("dance", decomposers=("policy", "rules"))
    assert sourced.source == "rules (after policy)" and not sourced.is_open
    assert [step.instruction for step in sourced.plan.substeps][0] == "pick up the milk"


def test_a_whole_plan_is_not_made_of_one_substep():
    request = PlanRequest(TASK, must_be_whole=True, ask_policy=lambda: pytest.fail("it is asked in vain"))
    with pytest.raises(PlanningError, match="one substep at a time, and the whole plan is wanted"):
        decompose(request, load_decomposers(("policy",), DecomposerSettings()))

    class Growing:
        name, wants_picture = "growing", False

        def decompose(self, request: PlanRequest) -> SourcedPlan:
            return SourcedPlan(Plan(request.instruction, (PICK,)), self.name, is_open=True)

    found = decompose(request, (Growing(), *load_decomposers(("rules",), DecomposerSettings())))
    assert found.sourced.source == "rules (after growing)" and len(found.sourced.plan.substeps) == 2


def test_without_a_policy_to_ask_there_are_no_words():
    with pytest.raises(PlanningError, match="policy: there is no policy to ask"):
        decompose(PlanRequest(TASK), load_decomposers(("policy",), DecomposerSettings()))
    with pytest.raises(ValueError, match="there is no policy to ask"):
        load_scorer("policy", CompletionSettings())


def test_a_substep_is_done_when_another_one_is_named():
    answers = []
    scorer = load_scorer("policy", CompletionSettings(ask_policy=lambda: answers.pop(0)))
    assert isinstance(scorer, OwnWordsScorer) and scorer.cameras == ("scene",)
    scorer.begin_plan([PICK])
    answers += [
        said("pick up the milk"),
        said("place the milk in the basket", 0.8),
        said("dance"),
        said(TASK_DONE, 0.7),
    ]
    assert [scorer.score({}, 0) for _ in range(4)] == [0.0, 0.8, 0.0, 0.7]

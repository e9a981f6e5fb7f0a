"""The rules as a decomposer."""

from __future__ import annotations

import pytest

from substep_core.errors import ErrorCode, PlanningError
from substep_planner.decomposers.base import PlanRequest
from substep_planner.decomposers.rules import RulesDecomposer, plan_by_rules


def test_a_sentence_becomes_substeps_with_effects():
    substep = plan_by_rules("Close the top drawer of the cabinet.").substeps[0]
    assert substep.instruction == "close the top drawer of the cabinet"
    assert substep.expected_effect == "the top drawer is pushed all the way into the cabinet"


def test_what_the_rules_cannot_plan_is_refused_with_the_reason():
    with pytest.raises(PlanningError, match="no plan for 'close it': 'it' refers to nothing") as error:
        plan_by_rules("close it")
    assert error.value.code is ErrorCode.NO_PLAN


def test_what_was_done_is_not_planned_again():
    done = plan_by_rules("put the milk in the basket").substeps[:1]
    sourced = RulesDecomposer().decompose(PlanRequest("put the milk in the basket", done=done))
    assert [substep.instruction for substep in sourced.plan.substeps] == ["place the milk in the basket"]
    other = plan_by_rules("open the microwave").substeps
    with pytest.raises(PlanningError, match="does not begin with what was done"):
        RulesDecomposer().decompose(PlanRequest("put the milk in the basket", done=other))

"""A rule-based decomposer for sentences in the manner of LIBERO's instructions."""

from __future__ import annotations

from substep_core.errors import ErrorCode, PlanningError
from substep_core.language.effects import substep
from substep_core.language.phrases import PhraseError
from substep_core.language.reader import read
from substep_core.plan import Plan, PlanFormatError, normalise_instruction
from substep_planner.decomposers.base import PlanRequest, SourcedPlan
from substep_planner.decomposers.plan_checks import unclear_things
from substep_planner.decomposers.registry import DecomposerSettings
from substep_planner.decomposers.remaining import remaining_plan


def plan_by_rules(instruction: str) -> Plan:
    """The plan for a sentence in the manner of LIBERO's instructions.

    Raises:
        PlanningError: the sentence is beyond the rules; the message quotes it and says why.
    """
    sentence = normalise_instruction(instruction)
    try:
        return Plan(sentence, tuple(map(substep, read(sentence))))
    except (PhraseError, PlanFormatError) as error:
        raise PlanningError(ErrorCode.NO_PLAN, f"no plan for {sentence!r}: {error}") from error


class RulesDecomposer:
    """Reads the sentence."""

    name = "rules"
    wants_picture = False

    def decompose(self, request: PlanRequest) -> SourcedPlan:
        """See ``Decomposer``. What was understood and refused before is not read by its words alone."""
        if request.was_refused:
            raise PlanningError(ErrorCode.NO_PLAN, "what was understood before cannot be done")
        plan = plan_by_rules(request.instruction)
        if unclear := unclear_things(plan, request.objects):
            raise PlanningError(ErrorCode.NO_PLAN, f"it is not said which {unclear[0]}: the scene has several kinds")
        return SourcedPlan(remaining_plan(plan, request.done), self.name)


def create(settings: DecomposerSettings) -> RulesDecomposer:
    return RulesDecomposer()
